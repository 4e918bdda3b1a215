"""What the package costs: per query, in provisioning, in starting and in switching, beside the same without it.

python -m tests.bench [query] [provision] [import] [switch] [--quick]

A bench and no test: the figures never fail it. Needs a superuser's TEST_DATABASE_URL, or starts a server.
"""

# The name of our variant, as those of the others: what pip installs.
OURS = "django-readonly-router"
