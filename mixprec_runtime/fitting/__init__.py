"""Fitting: which unit of a model to take from which checkpoint; pure decisions on measured losses."""
