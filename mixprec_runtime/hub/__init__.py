"""The Hub: what a plan needs of a repository without its weights, and the shards that a plan needs afterwards."""
