"""`python -m vaetool`, and the entry point of the console script."""

import sys

from vaetool.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
