"""From noise to samples: one loop, its solvers and decoders, guidance, corrections."""
