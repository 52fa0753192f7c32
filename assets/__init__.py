"""What exists, as Dagster sees it."""
