"""One start of a variant: says how long the import and django.setup() took, in milliseconds."""

import os
import time

began = time.perf_counter()

import django  # noqa: E402

if os.environ["BENCH_VARIANT"] != "bare":
    import readonly_router  # noqa: F401

django.setup()
print((time.perf_counter() - began) * 1000)
