"""Tests of what the suite stands on: its own servers and pooler, the demo and the bench."""
