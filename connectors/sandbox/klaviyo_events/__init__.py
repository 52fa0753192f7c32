"""Klaviyo's events, apart from its profiles."""
