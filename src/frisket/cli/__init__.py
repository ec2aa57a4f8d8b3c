"""The command line: `frisket VERB`, one file per verb."""
