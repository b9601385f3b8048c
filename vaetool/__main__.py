"""`python -m vaetool`, and the entry point of the console script."""

import sys

from vaetool.files import signals

signals.set_handlers(signals.end_at_once)  # before the imports that take a part of a second

from vaetool.cli import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
