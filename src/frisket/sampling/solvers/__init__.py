"""Updates for continuous states: each moves along the flow or the stochastic process that leads from noise to data."""
