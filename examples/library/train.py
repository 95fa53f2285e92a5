"""Fit the slope of a line by gradient descent and log it to W&B: any script that calls wandb.init does."""

import argparse

import wandb

XS = [0.0, 0.5, 1.0, 1.5, 2.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()

    run = wandb.init(config=vars(arguments))
    slope = 0.0
    for _ in range(arguments.steps):
        errors = [slope * x - 3 * x for x in XS]
        slope -= arguments.learning_rate * sum(2 * error * x for error, x in zip(errors, XS, strict=True)) / len(XS)
        run.log({"loss": sum(error * error for error in errors) / len(XS), "slope": slope})
    run.finish()


if __name__ == "__main__":
    main()
