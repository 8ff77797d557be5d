"""The command `bioplastic` as ``python -m bioplastic``."""

import sys

from bioplastic.cli import main

if __name__ == "__main__":
    sys.exit(main())
