"""``python -m medconsist``: the same as the command ``medconsist``."""

import sys

from medconsist.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
