"""Official checkpoints and other libraries' models, in and out."""
