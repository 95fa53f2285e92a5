# Runs that share a Slurm job: a pack is written down, trained, and each of its runs settled on its own, so that one that
# failed keeps no other from being synced. Which runs, is planned when Snakemake starts (packs, in common.smk).


rule pack:
    input:
        runs="<results>/{experiment}/runs.tsv",
    output:
        runs="<results>/{experiment}/packs/{pack}/runs.json",
    log:
        "<logs>/{experiment}/packs/{pack}.log",
    localrule: True
    conda:
        CONDA
    params:
        content=functions.pack_content,
    shell:
        # Not by runferry: a start of Python for each pack of a thousand runs is half a minute of CPU.
        "{{ printf '%s\\n' {params.content:q} >{output.runs:q}.partial && sync {output.runs:q}.partial"
        " && mv {output.runs:q}.partial {output.runs:q}; }} 2>{log:q}"


rule train_pack:
    input:
        pack=rules.pack.output.runs,
        environment=functions.environment_of_pack,
        needs=functions.results_needed,
    output:
        done="<results>/{experiment}/packs/{pack}/done.json",
    log:
        "<results>/{experiment}/packs/{pack}/pack.log",
    # As of rule `train`.
    retries: plan.retries
    conda:
        CONDA
    threads: functions.pack_cores
    resources:
        **functions.pack_resources,
    params:
        folder=subpath(output.done, parent=True),
    shell:
        # The launcher of the pack writes the log itself; each run has its own train.log.
        "runferry launch-pack {params.folder:q}"


rule settle:
    input:
        done=functions.done_of_pack,
    output:
        trained="<results>/{experiment}/{run}/trained.json",
    log:
        "<logs>/{experiment}/settle/{run}.log",
    wildcard_constraints:
        run=packs.packed,
    localrule: True
    conda:
        CONDA
    params:
        folder=subpath(output.trained, parent=True),
    shell:
        # A rename, where the run was trained: a start of Python for each of a thousand runs is a minute of CPU.
        "mv {params.folder:q}/finished.json {output.trained:q} 2>{log:q} || runferry settle {params.folder:q} 2>&1 | tee {log:q} >&2"
