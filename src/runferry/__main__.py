"""Run the command line by `python -m runferry`."""

import sys

from runferry.cli.fast_start import main

sys.exit(main())
