"""A plain script: makes three runs, trains them here one after the other, syncs them, reads what was logged.

In this folder: python plain_script.py
"""

import sys

from runferry import api


def main() -> int:
    runs = [
        api.create_run(
            f"results/line/rate-{rate}",
            [sys.executable, "train.py", "${args}"],
            {"learning_rate": rate},
            project="library-example",
        )
        for rate in (0.03, 0.1, 0.2)
    ]
    for run in runs:
        # What is trained already is left as it is, so that the script may be started again.
        if api.launch(run) != 0:
            print(f"{run.name} is not trained; see {run.log}", file=sys.stderr)

    for synced in api.sync(runs, say=print):
        # A run that failed has a receipt too: all that it logged is there.
        print(synced.run.name, synced.problem or f"{synced.receipt.history_lines} rows at {synced.receipt.url}")

    best = min(runs, key=lambda run: min(row["loss"] for row in run.history()))
    print(f"best: {best.name}, learning rate {best.parameters['learning_rate']}")
    return 0 if all(run.state == "finished" and run.receipt for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
