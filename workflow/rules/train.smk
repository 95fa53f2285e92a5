rule runs:
    output:
        table="<results>/{experiment}/runs.tsv",
    log:
        "<logs>/{experiment}/runs.log",
    localrule: True
    conda:
        "../envs/runferry.yaml"
    params:
        digest=lambda wildcards: plan.experiments[wildcards.experiment].digest,
    script:
        "../scripts/write_runs.py"


rule train:
    input:
        needs_of_run,
    output:
        trained="<results>/{experiment}/{run}/trained.json",
    log:
        "<results>/{experiment}/{run}/train.log",
    wildcard_constraints:
        run=packs.alone,
    # Which runs are started again, and how often, is decided for each: see runferry.workflow.executor_guard.
    retries: plan.retries
    conda:
        "../envs/runferry.yaml"
    threads: lambda wildcards: plan.requests[wildcards.experiment].cores
    resources:
        mem_mb=asked("mem_mb"),
        runtime=asked("runtime"),
        nodes=asked("nodes"),
        tasks=asked("tasks"),
        gpu=asked("gpu"),
        gpu_model=asked("gpu_model"),
        gres=asked("gres"),
        tasks_per_gpu=asked("tasks_per_gpu"),
        slurm_account=asked("slurm_account"),
        slurm_extra=asked("slurm_extra"),
    params:
        folder=subpath(output.trained, parent=True),
    shell:
        # The launcher writes the log itself: all attempts, one after the other.
        "runferry launch {params.folder:q}"
