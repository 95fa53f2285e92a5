"""W&B's own examples of sweep definitions, with the keys and values of the pages and files that they come from.

From the documentation as of 2026-08 (https://docs.wandb.ai/models/sweeps/...) and from the repository
https://github.com/wandb/examples at 5cdb05b. Those that need W&B's server are in `NEED_A_SERVER`; the page's "template"
(`[INSERT]`) is none that anybody could run. Examples that the documentation writes as a Python dictionary have no
`program`, because `wandb.agent` is given a function: here they have one.
"""

from __future__ import annotations

_FASHION = """
program: train.py
method: {method}
metric: {{goal: minimize, name: val_loss}}
parameters:
  dropout: {{values: [0.15, 0.2, 0.25, 0.3, 0.4]}}
  hidden_layer_size: {{values: [96, 128, 148]}}
  layer_1_size: {{values: [10, 12, 14, 16, 18, 20]}}
  layer_2_size: {{values: [24, 28, 32, 36, 40, 44]}}
  learn_rate: {{values: [0.001, 0.01, 0.003]}}
  decay: {{values: [1e-5, 1e-6, 1e-7]}}
  momentum: {{values: [0.8, 0.9, 0.95]}}
  epochs: {{value: 27}}
early_terminate: {{type: hyperband, s: 2, eta: 3, max_iter: 27}}
"""

EXAMPLES = {
    "define-sweep-configuration: basic structure": """
program: train.py
name: sweepdemo
method: bayes
metric: {goal: minimize, name: validation_loss}
parameters:
  learning_rate: {min: 0.0001, max: 0.1}
  batch_size: {values: [16, 32, 64]}
  epochs: {values: [5, 10, 15]}
  optimizer: {values: ["adam", "sgd"]}
""",
    "define-sweep-configuration: double nested parameters": """
program: sweep_nest.py
name: nested_sweep
method: random
metric: {name: loss, goal: minimize}
parameters:
  optimizer: {values: ['adam', 'sgd']}
  fc_layer_size: {values: [128, 256, 512]}
  dropout: {values: [0.3, 0.4, 0.5]}
  epochs: {value: 1}
  learning_rate: {distribution: uniform, min: 0, max: 0.1}
  batch_size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
  nested_category_1:
    parameters:
      momentum: {distribution: uniform, min: 0.0, max: 0.9}
      weight_decay: {values: [0.0001, 0.0005, 0.001]}
  nested_category_2:
    parameters:
      momentum: {distribution: uniform, min: 0.0, max: 0.9}
      weight_decay: {values: [0.1, 0.2, 0.3]}
  nested_category_3:
    parameters:
      momentum: {distribution: uniform, min: 0.5, max: 0.7}
      weight_decay: {values: [0.2, 0.3, 0.4]}
""",
    "define-sweep-configuration: nested parameters overwrite": """
program: train.py
method: grid
metric: {name: score, goal: minimize}
parameters:
  top_level_param: {value: 0}
  nested_param:
    parameters:
      learning_rate: {value: 0.01}
      double_nested_param: {parameters: {x: {value: 0.9}, y: {value: 0.8}}}
""",
    "define-sweep-configuration: examples": """
program: train.py
method: random
metric: {goal: minimize, name: loss}
parameters:
  batch_size: {distribution: q_log_uniform_values, max: 256, min: 32, q: 8}
  dropout: {values: [0.3, 0.4, 0.5]}
  epochs: {value: 1}
  fc_layer_size: {values: [128, 256, 512]}
  learning_rate: {distribution: uniform, max: 0.1, min: 0}
  optimizer: {values: ["adam", "sgd"]}
""",
    "define-sweep-configuration: bayes hyperband": _FASHION.format(method="bayes"),
    "define-sweep-configuration: hyperband from min_iter": """
program: train.py
method: random
metric: {name: val_loss}
parameters: {learn_rate: {values: [0.001, 0.01, 0.003]}}
early_terminate: {type: hyperband, min_iter: 3}
""",
    "define-sweep-configuration: hyperband from max_iter": """
program: train.py
method: random
metric: {name: val_loss}
parameters: {learn_rate: {values: [0.001, 0.01, 0.003]}}
early_terminate: {type: hyperband, max_iter: 27, s: 2}
""",
    "define-sweep-configuration: scientific notation": """
program: train.py
method: random
parameters: {learning_rate: {min: !!float 1e-5, max: 0.1}}
""",
    "define-sweep-configuration: macros and custom arguments": """
program: run.py
method: random
metric: {name: validation_loss}
parameters: {learning_rate: {min: 0.0001, max: 0.1}}
command:
  - ${env}
  - ${interpreter}
  - ${program}
  - "--batch_size=${batch_size}"
  - "--optimizer=${optimizer}"
  - "--test=True"
""",
    "walkthrough": """
program: train.py
method: random
metric: {goal: minimize, name: score}
parameters:
  x: {max: 0.1, min: 0.01}
  y: {values: [1, 3, 7]}
""",
    "add-w-and-b-to-your-code": """
program: train.py
method: random
name: sweep
metric: {goal: maximize, name: val_acc}
parameters:
  batch_size: {values: [16, 32, 64]}
  lr: {min: 0.0001, max: 0.1}
  epochs: {values: [5, 10, 15]}
""",
    # https://docs.wandb.ai/models/sweeps/sweep-config-keys is a reference without examples: every key that it names.
    "sweep-config-keys: every key": """
program: train.py
entity: demo
project: tests
description: every key
name: all
method: random
metric: {name: val_loss, goal: maximize, target: 0.1}
run_cap: 3
parameters:
  constant: {distribution: constant, value: 1}
  categorical: {distribution: categorical, values: [a, b]}
  weighted: {values: [1, 2], probabilities: [0.3, 0.7]}
  int_uniform: {distribution: int_uniform, min: 1, max: 5}
  uniform: {distribution: uniform, min: 0.0, max: 1.0}
  q_uniform: {distribution: q_uniform, min: 0, max: 10, q: 0.5}
  log_uniform: {distribution: log_uniform, min: -9, max: -1}
  log_uniform_values: {distribution: log_uniform_values, min: 0.00001, max: 0.1}
  q_log_uniform: {distribution: q_log_uniform, min: 0, max: 4}
  q_log_uniform_values: {distribution: q_log_uniform_values, min: 1, max: 100, q: 5}
  inv_log_uniform: {distribution: inv_log_uniform, min: 1, max: 3}
  inv_log_uniform_values: {distribution: inv_log_uniform_values, min: 0.1, max: 0.9}
  normal: {distribution: normal}
  q_normal: {distribution: q_normal, mu: 10, sigma: 3, q: 2}
  log_normal: {distribution: log_normal, mu: 0.0, sigma: 1.0}
  q_log_normal: {distribution: q_log_normal}
early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: true}
command:
  - ${env}
  - ${interpreter}
  - ${program}
  - ${args}
  - ${args_no_boolean_flags}
  - ${args_no_hyphens}
  - ${args_json}
  - ${args_json_file}
  - ${envvar:MYENVVAR}
""",
    "examples: keras-cnn-fashion/sweep-grid-hyperband.yaml": _FASHION.format(method="grid"),
    "examples: keras-cnn-fashion/sweep-random-hyperband.yaml": _FASHION.format(method="random"),
    "examples: pyg/pointnet-classification/sweep_config.yaml": """
program: train.py
method: bayes
metric: {name: Validation/Accuracy, goal: maximize}
parameters:
  batch_size: {values: [8, 16, 32]}
  sample_points: {values: [512, 1024, 2048]}
  set_abstraction_ratio_1: {min: 0.1, max: 0.9}
  set_abstraction_radius_1: {min: 0.1, max: 0.5}
  set_abstraction_ratio_2: {min: 0.1, max: 0.9}
  set_abstraction_radius_2: {min: 0.1, max: 0.5}
  dropout: {min: 0.1, max: 0.7}
""",
    "examples: fastai1-simpsons/sweep.yaml": """
program: train_sweep.py
method: bayes
metric: {name: accuracy, goal: maximize}
parameters:
  epochs: {distribution: constant, value: 20}
  dropout: {distribution: uniform, min: 0, max: 1}
  img_size: {distribution: categorical, values: [64, 100]}
  one_cycle: {distribution: categorical, values: [True, False]}
  batch_size: {distribution: categorical, values: [8, 16, 32, 64]}
  pretrained: {distribution: categorical, values: [True, False]}
  learning_rate: {distribution: log_uniform, min: -11, max: -2}
""",
    "examples: llama-cpp/sweep.yaml": """
program: evaluate.py
method: random
metric: {goal: maximize, name: diff_score}
parameters:
  model:
    distribution: categorical
    values: [codellama-13b-instruct.Q4_K_M.gguf, codellama-7b.Q5_K_S.gguf, gpt-3.5-turbo]
  system_prompt:
    distribution: categorical
    values:
      - You're a Docker expert. Translate the following sentence to a simple docker command.
      - You'll be asked a question about Docker.  Only provide a single command.
  temperature: {distribution: uniform, max: 0.6, min: 0}
""",
    "examples: minimal-hydra-example/wandb_sweep.yaml": """
program: main.py
metric: {name: val_loss, goal: minimize}
method: bayes
parameters:
  optimizer.config.learning_rate: {min: !!float 1e-5, max: 0.1}
  experiment: {values: [expt001, expt002]}
  optimizer: {values: [sgd, adagrad, adam]}
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
""",
    "examples: pytorch-cnn-fashion/sweep-grid-hyperband.yaml": """
program: train.py
method: grid
metric: {goal: minimize, name: loss}
parameters:
  dropout: {values: [0.1, 0.2, 0.4, 0.5, 0.7]}
  channels_one: {values: [10, 12, 14, 16, 18, 20]}
  channels_two: {values: [24, 28, 32, 36, 40, 44]}
  learning_rate: {values: [0.001, 0.005, 0.0005]}
  epochs: {value: 27}
early_terminate: {type: hyperband, s: 2, eta: 3, max_iter: 27}
""",
    "examples: sweeps-boolean-parameters/sweep-bool.yaml": """
program: train-bool.py
method: grid
parameters:
  optimizer: {values: ["sgd", "adam"]}
  flag1: {values: [false, true]}
  flag2: {values: [false, true]}
""",
    "examples: sweeps-cross-validation/sweep-cross-validation.yaml": """
method: random
metric: {goal: maximize, name: val_accuracy}
parameters:
  batch_size: {distribution: int_uniform, max: 128, min: 32}
  epochs: {distribution: constant, value: 200}
  node_size1: {distribution: categorical, values: [64, 128, 256]}
  num_layers: {distribution: categorical, values: [1, 2, 3]}
  optimizer: {distribution: categorical, values: [Adam, Adamax, Adagrad]}
program: train-cross-validation.py
""",
}

NEED_A_SERVER = {
    "examples: launch-sweeps/quickstart/launch_sweep_config.yaml": """
description: sweeps on launch quickstart
method: grid
run_cap: 10
job: wandb/sweep-jobs/job-fashion-MNIST-train:latest
metric: {name: epoch/val_loss, goal: minimize}
parameters:
  learning_rate: {values: [0, 0.0001, 0.001, 0.01, 0.1, 1]}
  epochs: {max: 20, min: 10, distribution: int_uniform}
scheduler: {num_workers: 8}
""",
    "examples: launch-sweeps/optuna-scheduler/optuna_config_basic.yaml": """
description: A basic configuration for an Optuna scheduler
job: wandb/sweep-jobs/job-fashion-MNIST-train:latest
run_cap: 5
metric: {name: epoch/val_loss, goal: minimize}
scheduler:
  job: wandb/sweep-jobs/job-optuna-sweep-scheduler:latest
  resource: local-container
  num_workers: 2
  settings: {pruner: {type: PercentilePruner, args: {percentile: 25.0, n_warmup_steps: 10}}}
parameters:
  learning_rate: {min: 0.0001, max: 1.0}
""",
}
