"""Scripts that other people's packages run in an environment of their own, `.venv-peers`."""
