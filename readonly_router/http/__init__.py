"""What a request meets while the site is read-only: its answer, its session, its streams, and what it skips."""
