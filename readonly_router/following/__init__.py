"""How a process follows the switch: what its connections carry, and what the catalog answers where they cannot."""
