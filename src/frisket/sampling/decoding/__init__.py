"""Updates for ids: what is proposed, in which order, how much at once, and whether it stays."""
