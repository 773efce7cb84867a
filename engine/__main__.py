"""`splatwright …` and `python -m engine …`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a UserError is printed as one sentence, without a traceback."""
    try:
        from .cli.main import run
    except ImportError as error:
        sys.exit(f"The command line needs the package {error.name}. Install it with: pip install splatwright")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
