"""``python -m bigan_cli`` is ``bigan``."""

from bigan_cli.main import main

if __name__ == "__main__":
    main()
