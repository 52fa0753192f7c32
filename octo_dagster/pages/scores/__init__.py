"""The pages of the scores: how many, how much, who, and what to do next."""
