"""What the package costs: per query, in provisioning, starting, switching and answering, beside the same without.

python -m tests.bench [query] [provision] [import] [switch] [http] [--quick]

A bench and no test: the figures never fail it. Needs a superuser's TEST_DATABASE_URL, or starts a server.
"""

# The name of our variant, as those of the others: what pip installs.
OURS = "django-readonly-router"
