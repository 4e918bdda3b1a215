"""What operators do in the admin: see how the switch stands, throw it, and run migrations."""
