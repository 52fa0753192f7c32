"""The pages of `octo serve`: for people who would rather look than read."""
