"""Keeping it running: how everything stands, who is told when it does not, and what every run did."""
