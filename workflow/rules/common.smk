import os
import shlex
from pathlib import Path

from runferry.workflow import entry, live_sync

# As a module, this has the config that the workflow above gives it, and a config/config.yaml is that one's own.
if workflow.modifier.is_main_snakefile():
    entry.check_config_file("config/config.yaml")


configfile: "config/config.yaml"


RESULTS = Path(workflow.pathvars.apply("<results>"))
plan = entry.load(
    config,
    workflow.source_path("../schemas/config.schema.yaml"),
    RESULTS,
    controller=workflow.is_main_process,
    jobs=workflow.resource_settings.nodes,
)
# As Snakemake's own validate() does: scripts and jobs see the defaults too.
config.update(plan.config)

packs = plan.packs(RESULTS, controller=workflow.is_main_process)
if workflow.is_main_process:
    # The first lines of a dry run and of a real start; nothing where --quiet all is given.
    plan.show(
        packs,
        quiet="ALL" in {kind.name for kind in workflow.output_settings.quiet or ()},
    )
EXPERIMENT_FOLDERS = [str(RESULTS / name) for name in plan.experiments]


wildcard_constraints:
    experiment="[A-Za-z0-9][A-Za-z0-9_.-]*",
    round="[1-9][0-9]*",
    place="[1-9][0-9]*",
    run="[0-9a-v]{12}",
    pack="[0-9a-v]{12}",
    environment="[A-Za-z0-9][A-Za-z0-9_.-]*",


def asked(resource):
    """A resource of a run's job, as its cluster wants it asked for; None, where it is not to be asked for, leaves it out."""
    return lambda wildcards: plan.requests[wildcards.experiment].resources.get(resource)


def asked_by_pack(resource):
    """The same of a pack's job."""
    return lambda wildcards: packs.request(
        wildcards.experiment, wildcards.pack
    ).resources.get(resource)


def pack_options(wildcards):
    """What `runferry pack` is told; the attempts so far are in it, so that a pack that failed whole is made anew."""
    return packs.pack(wildcards.experiment, wildcards.pack).options


def done_of_pack(wildcards):
    """What says that the pack of a run has been trained; nothing is waited for where the run itself is known to be."""
    pack = packs.pack_of.get(wildcards.run)
    folder = RESULTS / wildcards.experiment / "packs"
    return [str(folder / pack / "done.json")] if pack else []


def environment_of_pack(wildcards):
    """The record of the environment that a pack's runs need, of which none is trained yet."""
    name = plan.experiments[wildcards.experiment].environment
    return [f"{RESULTS}/environments/{name}.json"] if name else []


def settles(paths, wildcards):
    """Inputs of a run's training that never train it again: what is trained stays trained.

    Ancient only once the run is trained: below a job that has to run, Snakemake (9.17 to 9.27) overlooks outputs that are
    missing behind an ancient input.
    """
    folder = f"{RESULTS}/{wildcards.experiment}"
    if hasattr(wildcards, "place"):
        done = f"{folder}/rounds/{wildcards.round}/{wildcards.place}.json"
    else:
        done = f"{folder}/{wildcards.run}/trained.json"
    return [ancient(path) for path in paths] if os.path.exists(done) else paths


def results_needed(wildcards):
    """Which of the runs of each experiment that one needs is the best."""
    return plan.best_of_needed(
        wildcards.experiment, f"{RESULTS}/{{experiment}}/best.json"
    )


def needs_of_round(wildcards):
    """What a run of a round needs besides the round: the record of its environment, if any, and others' results."""
    return settles(
        [*environment_of_pack(wildcards), *results_needed(wildcards)], wildcards
    )


def needs_of_run(wildcards):
    """What a run needs: the table of its experiment's runs, with which every run.json is written, and as `needs_of_round`.

    One function: each that Snakemake calls costs a dry run of 5,000 runs a quarter of a second.
    """
    runs = f"{RESULTS}/{wildcards.experiment}/runs.tsv"
    return settles(
        [runs, *environment_of_pack(wildcards), *results_needed(wildcards)], wildcards
    )


def ends_of_experiment(wildcards):
    """What says that every run of an experiment has ended, of which the best is to be found."""
    return plan.ends(
        wildcards.experiment,
        run=str(RESULTS / "{experiment}" / "{run}" / "trained.json"),
        place=str(RESULTS / "{experiment}" / "rounds" / "{round}" / "{place}.json"),
    )


def ends_of_round(wildcards, before=0):
    """What says that every run of a round, or of the one `before` it, has ended; none before the first."""
    number = int(wildcards.round) - before
    folder = RESULTS / wildcards.experiment / "rounds" / str(number)
    return plan.places_of_round(
        wildcards.experiment, number, str(folder / "{place}.json")
    )


def carry_what_is_there():
    """Sync and report what the experiments have on disk, as `onerror` does; what cannot be carried is named and left."""
    folders = " ".join(map(shlex.quote, EXPERIMENT_FOLDERS))
    shell(f"runferry sync --if-any {folders} || true")
    shell(f"runferry report --if-any {folders} || true")


def start_watching():
    """Send what running runs write while they train, where the config says so."""
    section = plan.config["sync"]
    if section["watch"]:
        log = Path(workflow.pathvars.apply("<logs>")) / "watch.log"
        live_sync.start(
            RESULTS, log, section["interval"], attempts_follow=plan.retries > 0
        )


def stop_watching():
    """End it again; what it has not sent is for the sync."""
    live_sync.stop(RESULTS)
