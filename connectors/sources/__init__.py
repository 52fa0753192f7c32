"""Something with rows: one file a kind."""
