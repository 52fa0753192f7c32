"""What scores are worked out with: expressions and models several of them share."""
