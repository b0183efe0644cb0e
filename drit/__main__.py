"""`python -m drit`: the command line."""

import sys

from drit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
