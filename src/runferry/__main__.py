"""`python -m runferry`."""

import sys

from runferry.cli import main

sys.exit(main())
