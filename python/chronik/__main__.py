"""``python -m chronik``: the same as the command ``chronik``."""

import sys

from .cli import main

sys.exit(main())
