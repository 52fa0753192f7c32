"""The canonical tables: their contracts, and how a source's rows become them."""
