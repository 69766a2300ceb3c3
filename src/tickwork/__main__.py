"""`python -m tickwork` is `tickwork`."""

import sys

from tickwork.cli import main

sys.exit(main())
