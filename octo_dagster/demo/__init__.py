"""The whole path, walked on this machine with a real shop."""
