"""One start of a variant: how long import and django.setup() took, by clock and by processor, in milliseconds."""

import os
import time

began, processor = time.perf_counter(), time.process_time()

import django  # noqa: E402 - its import is what is timed

if os.environ["BENCH_VARIANT"] != "bare":
    import readonly_router  # noqa: F401 - its import is what is timed

django.setup()
print((time.perf_counter() - began) * 1000, (time.process_time() - processor) * 1000)
