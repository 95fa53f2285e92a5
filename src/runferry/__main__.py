"""`python -m runferry` is the same as `runferry`."""

import sys

from runferry.start import main

sys.exit(main())
