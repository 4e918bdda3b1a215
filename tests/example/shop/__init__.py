"""The shop: products, orders, and every kind of database object a real site collects."""
