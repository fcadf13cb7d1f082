"""``python -m elspeth`` is the ``elspeth`` command."""

import sys

from elspeth.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
