"""The suite, the example site and the servers they run on."""
