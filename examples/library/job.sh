#!/bin/bash
# One run of your own training: sbatch --account=def-somebody job.sh --learning_rate=0.1
#SBATCH --time=1:00:00
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G

# The run's folder has the name of its arguments: submitted again with the same ones, it goes on where it was stopped.
name=$(printf '%s' "$*" | tr -cs 'A-Za-z0-9.' '-')
# Where PATH does not have runferry, write its path, such as ~/runferry-venv/bin/runferry.
exec runferry launch "results/line/run${name:+$name}" --project sbatch-example -- python train.py "$@"
