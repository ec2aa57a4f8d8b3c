"""From a recipe to a result: run an experiment, compare arms at an equal budget, verify a claim."""
