"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.open_page import open_page
