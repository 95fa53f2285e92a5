import sys
from pathlib import Path

from runferry.config.search.search import resource_name
from runferry.workflow import entry, handlers
from runferry.workflow.rule_functions import RuleFunctions
from runferry.workflow.start_options import let_packs_follow

# As a module, this has the config that the workflow above gives it, and a config/config.yaml is that one's own.
CLUSTER_IN_FILE = (
    entry.check_config_file("config/config.yaml", config)
    if workflow.modifier.is_main_snakefile()
    else None
)


configfile: "config/config.yaml"


if workflow.modifier.is_main_snakefile():
    entry.keep_profiles_cluster(config, controller=workflow.is_main_process)


RESULTS = Path(workflow.pathvars.apply("<results>"))
LOGS = Path(workflow.pathvars.apply("<logs>"))
plan = entry.load(
    config,
    workflow.source_path("../schemas/config.schema.yaml"),
    RESULTS,
    controller=workflow.is_main_process,
    jobs=workflow.resource_settings.nodes,
    cluster_in_file=CLUSTER_IN_FILE,
    as_module=not workflow.modifier.is_main_snakefile(),
)
# As Snakemake's own validate() does: scripts and jobs see the defaults too.
config.update(plan.config)

let_packs_follow(workflow)
packs = plan.packs(RESULTS, controller=workflow.is_main_process)
# The rules call the package that is installed beside Snakemake. An environment of conda's would have another Python
# without it, so that `--software-deployment-method conda`, for rules of a workflow above, makes none for these. The
# linter asks for one of each rule.
CONDA = "../envs/runferry.yaml" if "--lint" in sys.argv else None
QUIET = "ALL" in {kind.name for kind in workflow.output_settings.quiet or ()}
if workflow.is_main_process:
    # Before the jobs of a dry run and of a real start; nothing where --quiet all is given.
    # Imported here only: every job evaluates this, too.
    from runferry.workflow.plan.showing import show_plan

    show_plan(plan, packs, workflow, quiet=QUIET)
    # Places of each search: a run has one from its start to its end, and asks for its point when it gets one.
    for name, search in plan.searches.items():
        workflow.register_resource(resource_name(name), search.parallel)
EXPERIMENT_FOLDERS = [str(RESULTS / name) for name in plan.experiments]
functions = RuleFunctions(
    plan,
    packs,
    RESULTS,
    ancient,
    # Known once Snakemake makes its jobs; at the latest then.
    lambda: bool(
        workflow.execution_settings
        and workflow.execution_settings.lock
        and not workflow.dryrun
    ),
)


wildcard_constraints:
    experiment=functions.experiment_names,
    round="[1-9][0-9]*",
    place="[1-9][0-9]*",
    run="[0-9a-v]{12}",
    pack="[0-9a-v]{12}",
    environment=functions.environment_names,
