"""Inference-time compute plans: what is computed, reused or forecast at each step, on any model with sites."""
