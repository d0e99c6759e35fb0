"""Frozen records of the runtime: mix, plan and load account."""
