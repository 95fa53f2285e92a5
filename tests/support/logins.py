"""A person of whose W&B nothing is set."""

from __future__ import annotations

import pytest

from runferry.trackers.wandb import server as servers


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_APP_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(servers, "PAUSES", (0.01, 0.01))
