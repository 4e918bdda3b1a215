"""A Wagtail site as editors build it, put through the main job."""
