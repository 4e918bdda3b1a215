"""Settings of the pages in a server of their own; PAGES_SETTINGS changes some of them, as JSON."""

import json
import os

from tests.example.settings import *  # noqa: F403 - the shop, and what is different here
from tests.http.pages.usual import MIDDLEWARE as USUAL

MIDDLEWARE = USUAL
ROOT_URLCONF = "tests.http.pages.views"
globals().update(json.loads(os.environ.get("PAGES_SETTINGS", "{}")))
