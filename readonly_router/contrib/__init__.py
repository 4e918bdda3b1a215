"""Read-only mode in other people's frameworks; import what you use."""
