"""Settings of the example shop as its visitors and operators meet it in the browser."""

from tests.example.window import *  # noqa: F403 - the shop, and what is different here
from tests.example.window import MIDDLEWARE

# After sessions: https://docs.djangoproject.com/en/stable/topics/i18n/translation/#how-django-discovers-language-preference
MIDDLEWARE.insert(
    MIDDLEWARE.index("django.middleware.common.CommonMiddleware"), "django.middleware.locale.LocaleMiddleware"
)
READONLY_ROUTER_GRACE = "200ms"
