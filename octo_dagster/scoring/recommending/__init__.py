"""What recommendations are made of: purchases as sparse matrices, neighbours, lists and their reasons."""
