"""Attention control: a target stream that borrows attention from the source stream that is sampled beside it."""
