"""Dressed figures: people of capsules in any pose, garments of known texture, the same person in another garment."""
