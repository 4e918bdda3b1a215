"""An app of the tests whose admins are as odd as those of real projects, and whose migrations may fail."""
