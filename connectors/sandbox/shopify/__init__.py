"""Shopify's twin."""
