"""Start an engine's server, watch it, and end it with everything it started."""
