"""``python -m bigan_cli`` is ``bigan``."""

import sys

from bigan_cli.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
