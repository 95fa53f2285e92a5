"""submitit submits, runferry trains and syncs: each run is a job, and its rows are verified when it has ended.

In this folder, on a login node: python submit_with_submitit.py --account def-somebody
Anywhere: python submit_with_submitit.py --cluster local
"""

import argparse
import sys

import submitit

from runferry import api

MOST_JOBS = 4
"""For one run: the first and three in which it goes on."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="slurm", choices=("slurm", "local"))
    parser.add_argument("--account")
    arguments = parser.parse_args()

    executor = submitit.AutoExecutor(folder="submitit_logs/%j", cluster=arguments.cluster)
    executor.update_parameters(timeout_min=15, cpus_per_task=2, mem_gb=2, name="line")
    # Its signal before the time limit would kill a training that does not know it; the launcher's warning comes before.
    executor.update_parameters(slurm_signal_delay_s=10)
    if arguments.account:
        executor.update_parameters(slurm_additional_parameters={"account": arguments.account})

    # A config as the workflow has it, sweep and all; `api.create_run` makes runs without one.
    runs = api.create_runs("config.yaml")["line"]
    left = runs
    for _ in range(MOST_JOBS):
        jobs = {run: executor.submit(api.launch, run) for run in left}
        # The exit codes: 75 is that of a run that was stopped before its time limit, and goes on in another job.
        left = [run for run, job in jobs.items() if job.result() == api.STOPPED]
        for synced in api.sync(list(jobs), say=print):
            print(synced.run.name, synced.problem or f"{synced.receipt.history_lines} rows at {synced.receipt.url}")
        if not left:
            break
    return 0 if all(run.state == "finished" and run.receipt for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
