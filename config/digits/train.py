"""Train a small neural network on scikit-learn's handwritten digits and log it to W&B.

The 1,797 digits come with scikit-learn: nothing is downloaded. Nothing in this file knows of runferry.
"""

import argparse

import numpy as np
import wandb
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=32, help="neurons in the hidden layer")
    parser.add_argument("--learning_rate", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()

    run = wandb.init(config=vars(arguments))
    images, digits = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(images / 16, digits, test_size=0.25, random_state=0)
    network = MLPClassifier((arguments.hidden,), learning_rate_init=arguments.learning_rate, random_state=0)
    for _ in range(arguments.epochs):
        network.partial_fit(x_train, y_train, classes=np.arange(10))
        run.log(
            {
                "loss": float(network.loss_),
                "validation_loss": float(log_loss(y_test, network.predict_proba(x_test))),
                "accuracy": float(network.score(x_test, y_test)),
            }
        )
    run.finish()


if __name__ == "__main__":
    main()
