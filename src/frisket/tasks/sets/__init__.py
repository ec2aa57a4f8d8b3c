"""Learning a set: what the targets of an image are, which prediction answers which target, and what it costs."""
