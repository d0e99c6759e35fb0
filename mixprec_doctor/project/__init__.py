"""Project: what somebody's own project says to `mixprec check`: settings, comments, and which files are its own."""
