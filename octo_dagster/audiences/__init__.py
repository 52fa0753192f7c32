"""Named groups of customers: who is meant, who came and left."""
