"""How scores are compiled, run, joined into the profile, ruled over and explained."""
