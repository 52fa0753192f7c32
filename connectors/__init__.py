"""Whom we talk to: sources, destinations, and the destinations' twins."""
