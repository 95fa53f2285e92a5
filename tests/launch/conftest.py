"""Fixtures that tests of this folder share."""

from __future__ import annotations

from support.wandb_commands import python, version
