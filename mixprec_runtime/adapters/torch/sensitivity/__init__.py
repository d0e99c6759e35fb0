"""Sensitivity: how far the next-token distribution moves when a unit comes from another checkpoint; a child process."""
