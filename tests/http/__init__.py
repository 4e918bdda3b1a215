"""The site while read-only, through the real handlers."""
