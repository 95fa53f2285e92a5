"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.doctored import laptop, nothing_set, programs, sbatch, server, site
