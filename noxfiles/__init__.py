"""nox sessions by theme, and the matrix cells as data."""
