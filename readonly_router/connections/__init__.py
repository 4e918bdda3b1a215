"""Where an alias leads, and the two sides of a pair: refusals, blocks, and what happens as a session ends."""
