"""Where the checkout's parts lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
WHEELS = ROOT / ".venv" / "wheels"
"""Downloaded once by `make setup`."""
FRAMEWORKS = ROOT / ".venv" / "frameworks"
"""Installed once by `make setup`."""
