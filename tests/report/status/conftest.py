"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.housekeeping import runs
from support.shown_status import experiment
