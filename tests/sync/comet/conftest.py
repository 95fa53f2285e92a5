"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.comet_runs import connected, newest, python, run, server, written
