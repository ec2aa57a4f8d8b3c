"""What blocks are made of."""
