"""Rules: one kind of fault each, from what some code needs and what a release has."""
