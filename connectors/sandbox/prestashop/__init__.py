"""PrestaShop's twin."""
