rule runs:
    output:
        table="<results>/{experiment}/runs.tsv",
    log:
        "<logs>/{experiment}/runs.log",
    localrule: True
    conda:
        CONDA
    params:
        digest=functions.runs_digest,
    script:
        "../scripts/write_runs.py"


rule train:
    input:
        functions.needs_of_run,
    output:
        trained="<results>/{experiment}/{run}/trained.json",
    log:
        "<results>/{experiment}/{run}/train.log",
    wildcard_constraints:
        run=packs.alone,
    # Which runs are started again, and how often, is decided for each: see snakemake_executor_plugin_runferry.executor.
    retries: plan.retries
    conda:
        CONDA
    threads: functions.cores
    resources:
        **functions.resources,
    params:
        folder=subpath(output.trained, parent=True),
    shell:
        # The launcher writes the log itself: all attempts, one after the other.
        "runferry launch {params.folder:q}"
