"""From a mix and the headers of its checkpoints to a plan; pure decisions, nothing is loaded."""
