"""A segmenter of learned queries: a trunk makes maps, a pixel decoder refines them, queries read them and name masks."""
