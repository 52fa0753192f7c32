"""Somewhere to send records: one file a vendor."""
