"""Scores people write in YAML: points, or one SQL expression."""
