"""Rehearsals against what Python itself does."""
