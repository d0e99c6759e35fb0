"""The border for mix files: YAML with marks, a schema, and every fault at once."""
