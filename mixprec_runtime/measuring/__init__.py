"""Measuring: how well a mixture foresees a text, in a process of its own; no tensor framework is imported here."""
