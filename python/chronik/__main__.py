"""``python -m chronik``: the same as the command ``chronik``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
