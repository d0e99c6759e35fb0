"""Checkpoints read from their headers: no weight is touched, no pickle ever opened."""
