"""A Hydra app as it was before, with a callback that gives its offline runs receipts when a multirun has ended.

In this folder: python hydra_app.py --multirun learning_rate=0.03,0.1,0.2
"""

import os
from pathlib import Path
from typing import Any

import hydra
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from runferry import api


class SyncRuns(Callback):
    """Moves what the jobs logged to results/hydra/ and syncs it; configured in hydra_app.yaml."""

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment

    def on_multirun_end(self, config: DictConfig, **_given: Any) -> None:
        # With a launcher of a cluster this is still the login node.
        folder = Path(config.hydra.sweep.dir)
        for adopted in api.adopt(folder, experiment=self.experiment):
            print(f"{adopted.segment.name}: {adopted.left or adopted.run.path}")
        for synced in api.sync(Path("results") / self.experiment, say=print):
            print(synced.run.name, synced.problem or f"{synced.receipt.history_lines} rows at {synced.receipt.url}")


@hydra.main(version_base=None, config_path=".", config_name="hydra_app")
def main(config: DictConfig) -> None:
    # Offline as on a node without internet. Each job's folder has its own wandb/.
    folder = HydraConfig.get().runtime.output_dir
    os.environ["WANDB_MODE"] = "offline"
    name = HydraConfig.get().job.override_dirname
    run = wandb.init(project="library-example", dir=folder, name=name, config=OmegaConf.to_container(config))
    slope = 0.0
    for _ in range(config.steps):
        loss = (slope - 3) ** 2
        slope -= config.learning_rate * 2 * (slope - 3)
        run.log({"loss": loss, "slope": slope})
    run.finish()


if __name__ == "__main__":
    main()
