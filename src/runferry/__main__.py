"""`python -m runferry` is the same as `runferry`."""

import sys

from runferry.cli.fast_start import main

sys.exit(main())
