"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.report_pages import experiment, page
from support.sacct_stub import asked
