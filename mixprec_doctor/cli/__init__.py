"""The doctor's commands: each parses, calls, renders and returns a code."""
