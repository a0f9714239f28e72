"""Ways to reach a person. Nothing here knows what a debt is."""
