"""`python -m vaetool`, and where the console script begins."""

import sys

from vaetool.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
