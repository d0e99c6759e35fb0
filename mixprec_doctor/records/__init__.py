"""Frozen records: facts that cross processes and releases as data."""
