"""WooCommerce's twin."""
