"""Checks, each with an environment that has the fault and one that has not."""
