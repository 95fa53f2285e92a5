"""Optuna's callback for W&B, with a run for each trial."""

import warnings

import optuna
import wandb
from optuna_integration.wandb import WeightsAndBiasesCallback
from truth import wrote

warnings.filterwarnings("ignore")


class Callback(WeightsAndBiasesCallback):
    """Notes each loss, before the run of its trial is finished."""

    def __call__(self, study, trial):
        init, ids = wandb.init, []
        wandb.init = lambda *given, **rest: ids.append(init(*given, **rest)) or ids[-1]
        super().__call__(study, trial)
        wandb.init = init
        wrote(ids[-1].id, "loss", trial.value)


callback = Callback(metric_name="loss", wandb_kwargs={"group": "search"}, as_multirun=True)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("rate", 0, 1) ** 2, n_trials=3, callbacks=[callback])
