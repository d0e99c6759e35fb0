"""Everything that a child can die of, tried in a real virtual environment."""
