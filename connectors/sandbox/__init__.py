"""The same vendors, on your machine."""
