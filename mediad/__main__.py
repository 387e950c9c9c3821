"""`python -m mediad`: the same as the `mediad` program."""

from __future__ import annotations

import sys

from mediad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
