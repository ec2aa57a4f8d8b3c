"""One file per paper: its system wired from the parts."""
