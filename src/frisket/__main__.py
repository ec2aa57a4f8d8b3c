"""`python -m frisket` is `frisket`."""

import sys

from frisket.cli import main

if __name__ == "__main__":
    sys.exit(main())
