"""Token plans: which tokens pass through a span of blocks, and how the sequence is whole again behind it."""
