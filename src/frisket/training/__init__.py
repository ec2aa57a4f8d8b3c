"""The loop: optimisers, EMA, checkpoints, resume, distribution."""
