"""The `mixprec` command and the runtime's own commands."""
