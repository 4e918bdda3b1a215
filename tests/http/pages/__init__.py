"""Pages of the example shop that meet the mode wherever a request can."""
