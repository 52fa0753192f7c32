"""What is done for whom, step by step, and what it brings."""
