"""A small shop on PostgreSQL: the site that the demo and the tests put into read-only mode."""
