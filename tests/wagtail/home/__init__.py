"""The site's own pages, snippet and settings."""
