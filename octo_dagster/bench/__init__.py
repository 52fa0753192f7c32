"""What Octo costs, measured beside what it is measured against."""
