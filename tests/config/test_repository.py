"""What `runferry init` reads in a user's repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from runferry.cli.main import main
from runferry.config.repository.job_script import config_time, read_job_script
from runferry.config.repository.packages import find_packages
from runferry.config.repository.parameters import find_metric, find_parameters
from runferry.config.repository.scripts import find_scripts
from runferry.errors import ConfigError

CONDA = "dependencies: [python=3.11, pytorch::pytorch=2.1.0=cuda, numpy >=1.2, a=1.2, {pip: [b]}]"
SCRIPT = "import wandb\nrun = wandb.init(project='p')\nrun.log({'loss': 1})\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "my repository"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("CC_CLUSTER", "SBATCH_ACCOUNT", "SLURM_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("runferry.config.account.known_accounts", list)
    return place


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_py", ".py").replace("_toml", ".toml").replace("_txt", ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("import wandb\nwandb.init()\n", True),
        ("import wandb as wb\nwb.init(mode='offline')\n", True),
        ("from wandb import init as begin\nbegin()\n", True),
        ("from lightning.pytorch.loggers import WandbLogger\nlogger = WandbLogger(project='p')\n", True),
        ("from transformers import TrainingArguments\nTrainingArguments(report_to=['wandb'])\n", True),
        ("# wandb.init()\nimport wandb\n", False),
        ("def init(): ...\ninit()\n", False),
        ("print 'Python 2: wandb.init()'\n", False),
    ],
)
def test_a_script_is_found_by_what_it_calls(folder, script, found):
    write(folder, a_py=script)
    assert bool(find_scripts(folder)) == found


def test_the_likeliest_script_comes_first_and_installed_packages_are_not_looked_at(folder):
    main_guard = "if __name__ == '__main__':\n    main()\n"
    write(folder, sweep_helper_py=SCRIPT, lab__train_py=SCRIPT + main_guard, lab____init___py="")
    write(folder, any_name__lib__wandb_user_py=SCRIPT + main_guard)
    (folder / "any_name" / "pyvenv.cfg").write_text("")
    (folder / "tests").mkdir()
    (folder / "tests" / "train.py").write_text(SCRIPT + main_guard)
    assert [str(one.file) for one in find_scripts(folder)] == ["lab/train.py", "sweep_helper.py"]


def test_a_script_is_found_whose_package_makes_the_run(folder):
    write(folder, lab__loop_py=f"def fit():\n    {SCRIPT.replace(chr(10), chr(10) + '    ')}\n")
    write(folder, go_py="from lab.loop import fit\nif __name__ == '__main__':\n    fit()\n")
    script = find_scripts(folder)[0]
    assert (str(script.file), script.project) == ("go.py", "p")


@pytest.mark.parametrize(
    ("body", "how", "defaults", "varied"),
    [
        (
            """add_argument('-l', '--lr', type=float, default=1)
add_argument('--fast', action='store_true')
add_argument('--name', default='x')""",
            "args",
            {"lr": 1.0, "name": "x"},
            ("lr", [1.0, 0.1]),
        ),
        ("@click.option('--seed', default=3)\ndef main(): ...\n", "args", {"seed": 3}, ("seed", [3, 4])),
        ("p.add_argument('--opt', choices=['a', 'b'], default='a')", "args", {"opt": "a"}, ("opt", ["a", "b"])),
        ("run = wandb.init(config=dict(width=8, deep={'a': 1}))\nrun.config.width", "config", {"width": 8}, None),
        ("c = {'width': 8}\nrun = wandb.init(config=c)\nprint(c['width'])", "none", {}, None),
        ("import hydra", "args_no_hyphens", {}, None),
    ],
)
def test_parameters_are_those_that_reach_the_script(folder, body, how, defaults, varied):
    write(
        folder, a_py=f"import wandb\nwandb.init()\n{body}\n" if "wandb.init" not in body else f"import wandb\n{body}\n"
    )
    found = find_parameters(find_scripts(folder)[0])
    assert (found.how, found.defaults) == (how, defaults)
    if varied:
        assert found.varied() == varied


@pytest.mark.parametrize(
    ("logged", "metric"),
    [
        ("run.log({'loss': 1, 'val_loss': 2, 'accuracy': 3})", ("val_loss", "minimize")),
        ("run.log({'train/loss': 1, 'val/acc': 3})", ("val/acc", "maximize")),
        ("self.log('train_loss', x)", ("train_loss", "minimize")),
        ("run.log(numbers)", None),
    ],
)
def test_the_metric_is_one_that_is_logged(folder, logged, metric):
    write(folder, a_py=f"import wandb\nrun = wandb.init()\n{logged}\n")
    found = find_metric(find_scripts(folder)[0].trees)
    assert ((found.name, found.goal) if found else None) == metric


@pytest.mark.parametrize(
    ("files", "key", "source", "lines"),
    [
        ({"requirements.txt": "wandb==0.22\n"}, "requirements", "requirements.txt", ()),
        (
            {"requirements.txt": "numpy\n"},
            "requirements",
            "config/requirements.txt",
            ("-r ../requirements.txt", "wandb"),
        ),
        # Tools alone are no project.
        ({"pyproject.toml": "[tool.ruff]\n", "requirements.txt": "wandb\n"}, "requirements", "requirements.txt", ()),
        # No package: pip would refuse to build what setuptools finds.
        (
            {"pyproject.toml": "[project]\nname='a'\nversion='1'\ndependencies=['wandb>=0.2']\n"},
            "requirements",
            "config/requirements.txt",
            ("wandb>=0.2",),
        ),
        ({"pyproject.toml": "[project]\nname='a'\n[build-system]\nrequires=[]\n"}, "pyproject", "pyproject.toml", ()),
        (
            {"environment.yml": CONDA},
            "requirements",
            "config/requirements.txt",
            ("torch==2.1.0", "numpy>=1.2", "a==1.2.*", "b", "wandb"),
        ),
        (
            {"own.py": "import cv2\n"},
            "requirements",
            "config/requirements.txt",
            ("opencv-python", "scikit-learn", "wandb"),
        ),
    ],
)
def test_the_environment_is_made_of_what_is_there(folder, files, key, source, lines):
    write(folder, a_py=f"import json, own, sklearn.svm\n{SCRIPT}")
    for name, text in files.items():
        (folder / name).write_text(text)
    found = find_packages(folder, find_scripts(folder)[0])
    assert (found.key, str(found.source)) == (key, source)
    assert tuple(line for line in found.lines if not line.startswith("#")) == lines


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("90", "1h30m"),
        ("1:30", "2m"),
        ("3:00:00", "3h"),
        ("1-12", "1d12h"),
        ("1-12:30:01", "1d12h31m"),
        ("UNLIMITED", None),
        ("0", None),
    ],
)
def test_a_time_is_what_slurm_makes_of_it(time, words):
    assert config_time(time) == words


@pytest.mark.parametrize(
    ("options", "resources"),
    [
        ("--gpus=h100:2 --mem-per-gpu=10G -c 4", {"gpus": 2, "gpu": "h100", "cores": 4, "memory": "20G"}),
        ("--gres=gpu:1 --mem 500", {"gpus": 1, "memory": "500M"}),
        ("--gres=gpu:a100_3g.20gb:1", {"gpus": 1, "gpu": "a100_3g.20gb"}),
        ("-N 2 --gpus-per-node=4 --ntasks-per-node=4 --cpus-per-task=3 --mem=0", "2 nodes"),
        ("--ntasks=4 --mem-per-cpu=2G -t 10", {"tasks": 4, "gpus": 0, "cores": 4, "memory": "8G", "time": "10m"}),
    ],
)
def test_what_a_job_script_asks_for(tmp_path, options, resources):
    if resources == "2 nodes":
        resources = {"nodes": 2, "tasks": 4, "gpus": 4, "cores": 12}
    file = tmp_path / "job.sh"
    file.write_text(f"#!/bin/bash\n#SBATCH {options}\npython train.py\n")
    assert read_job_script(file).resources() == resources


def test_a_job_script_without_python_is_refused(tmp_path):
    file = tmp_path / "job.sh"
    file.write_text("#!/bin/bash\npip install torch\n./train\n")
    with pytest.raises(ConfigError, match="found no line that starts Python"):
        read_job_script(file)


JOB = """#!/bin/bash
#SBATCH --account=def-x --time=1:00:00
#SBATCH --array=0-2
module load python/3.11 \\
    cuda
export WANDB_API_KEY=123 FOO=1
export HF_HOME=$SCRATCH/hf
cp -r set "$SLURM_TMPDIR/"
python prepare.py
RATE=1e-2
python train.py --lr $RATE --seed=$SLURM_ARRAY_TASK_ID --out $SLURM_TMPDIR/x \\
    --data=$SLURM_TMPDIR/set/a --n 2 > log.txt 2>&1 &
tar xf data.tar -C $SLURM_TMPDIR
"""


def test_init_takes_over_a_job_script(folder, capsys):
    options = "".join(
        f"p.add_argument('--{name}', default={value})\n" for name, value in {"lr": 1.0, "seed": 5}.items()
    )
    write(folder, train_py=f"{SCRIPT}p.add_argument('--out', default='.')\n{options}", requirements_txt="wandb\n")
    (folder / "job.sh").write_text(JOB)
    (folder / "set").mkdir()
    assert main(["init", "--cluster", "narval", "--from-sbatch", "job.sh"]) == 0
    said = capsys.readouterr().out
    assert "note     job.sh: not taken over: lines 9, 13; see the end of config/config.yaml\n" in said
    assert said.endswith(
        'next:\n  runferry plan --profile narval\n  snakemake --profile "$(runferry profile narval)"\n'
    )
    assert "the plan will refuse" not in said
    text = (folder / "config" / "config.yaml").read_text()
    assert "123" not in text
    config = yaml.safe_load(text)
    assert config["account"] == "def-x"
    assert config["environment"] == {"modules": ["python/3.11", "cuda"], "requirements": "requirements.txt"}
    assert config["experiments"]["train"] == {
        "sweep": "config/sweep.yaml",
        "stage": [{"from": "set"}],
        "variables": {"FOO": "1", "HF_HOME": "${envvar:SCRATCH}/hf"},
        "resources": {"gpus": 0, "time": "1h"},
    }
    sweep = yaml.safe_load((folder / "config" / "sweep.yaml").read_text())
    assert sweep == {
        "command": ["python", "train.py", "--out=${scratch}/x", "--data=${data}/set/a", "--n", "2", "${args}"],
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"seed": {"values": [0, 1, 2]}, "lr": {"value": 0.01}},
    }


def test_init_takes_the_sweep_that_is_there_and_never_overwrites(folder, capsys):
    write(folder, train_py=SCRIPT, other_py=SCRIPT, requirements_txt="wandb\n")
    (folder / "sweep.yaml").write_text("{program: other.py, method: random, parameters: {a: {min: 0.0, max: 1.0}}}")
    (folder / ".gitignore").write_text("wandb\n*.pt")
    subprocess.run(["git", "init", "-q"], check=True)
    assert main(["init"]) == 0
    assert (folder / ".gitignore").read_text() == "wandb\n*.pt\n# What runferry makes.\nresults/\nlogs/\n.snakemake/\n"
    written = (folder / "config" / "config.yaml").read_text()
    other = yaml.safe_load(written)["experiments"]["other"]
    assert (other["sweep"], other["count"]) == ("sweep.yaml", 10)
    capsys.readouterr()
    assert main(["init"]) == 2
    # One next step, not two.
    refused = "runferry: found config/config.yaml, expected none: init overwrites nothing; to see its plan"
    assert capsys.readouterr().err == f"{refused}, run: runferry plan --profile local\n"
    assert (folder / "config" / "config.yaml").read_text() == written


def test_init_without_a_script_says_what_it_looked_for(folder, capsys):
    assert main(["init", "--cluster", "narvall"]) == 2
    assert "did you mean narval?" in capsys.readouterr().err
    assert main(["init"]) == 2
    assert "that calls wandb.init(), expected the script that trains; name it: runferry init" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
