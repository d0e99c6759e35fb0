"""Tests inside a real SGLang."""
