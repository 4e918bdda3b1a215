"""Each plant alone in a database, against every command: `make plants`."""
