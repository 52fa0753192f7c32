"""The live lane under Dagster: who sees an order, what a run of it does, and how that run starts at once."""
