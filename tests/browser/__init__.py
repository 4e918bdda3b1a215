"""The example site and a Wagtail site in a real browser, before, in and after a read-only window."""
