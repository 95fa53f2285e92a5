import shlex
from pathlib import Path

from runferry import workflow as runferry_workflow

runferry_workflow.check_config_file("config/config.yaml")


configfile: "config/config.yaml"


plan = runferry_workflow.load(
    config, workflow.source_path("../schemas/config.schema.yaml")
)
# As Snakemake's own validate() does: scripts and jobs see the defaults too.
config.update(plan.config)

RESULTS = Path(workflow.pathvars.apply("<results>"))
EXPERIMENT_FOLDERS = [str(RESULTS / name) for name in plan.experiments]


wildcard_constraints:
    experiment="[A-Za-z0-9][A-Za-z0-9_.-]*",
    run="[0-9a-v]{12}",


def environment_of_experiment(wildcards):
    """The record of the environment that an experiment's runs need; none where commands run with the PATH as it is."""
    name = plan.experiments[wildcards.experiment].environment
    return [f"<results>/environments/{name}.json"] if name else []


def carry_what_is_there():
    """Sync and report what the experiments have on disk, as `onerror` does; what cannot be carried is named and left."""
    folders = " ".join(map(shlex.quote, EXPERIMENT_FOLDERS))
    shell(f"runferry sync --if-any {folders} || true")
    shell(f"runferry report --if-any {folders} || true")
