"""Checking of code: what some code needs of packages, held against one release or many; nothing of it is run."""
