"""Django's system checks: of the pairs and their logins, and of the site around them."""
