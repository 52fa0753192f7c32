"""Pictures of scores for people who look at pages, not tables."""
