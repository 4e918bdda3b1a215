"""Settings of a process that follows the switch, or of the same one without us (BENCH_VARIANT)."""

import os

from tests.bench import OURS
from tests.bench.settings import *  # noqa: F403 - the same project
from tests.bench.settings import VARIANT

ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.bench.pages"
# Each request that keeps its mode looks for news first; without us there is nothing to keep.
MIDDLEWARE = ["readonly_router.middleware.ReadOnlyMiddleware"] if VARIANT == OURS else []
READONLY_ROUTER_LISTEN = os.environ.get("BENCH_LISTEN", "1") == "1"
