# Bayes sweeps, round by round: what the runs of one reached chooses the runs of the next. How many there are is known
# beforehand, so these are ordinary rules; which run a place in a round has, `runs.json` says once it is chosen.


rule choose_round:
    input:
        before=functions.ends_of_round_before,
    output:
        runs="<results>/{experiment}/rounds/{round}/runs.json",
    log:
        "<logs>/{experiment}/rounds/{round}.log",
    localrule: True
    conda:
        CONDA
    params:
        # More of them are chosen where the sweep gets longer; those that are chosen stay.
        size=functions.round_size,
    script:
        "../scripts/choose_round.py"


rule train_in_round:
    input:
        # Chosen once: a file that is touched later trains nothing again.
        runs=ancient(rules.choose_round.output.runs),
        needs=functions.needs_of_round,
    output:
        # That the run has ended; a failed one is a result, too, which the next round is told of.
        ended="<results>/{experiment}/rounds/{round}/{place}.json",
    log:
        "<results>/{experiment}/rounds/{round}/{place}.log",
    # As of rule `train`.
    retries: plan.retries
    conda:
        CONDA
    threads: functions.cores
    resources:
        **functions.resources,
    shell:
        # The log is a link to the run's own.
        "runferry launch-place {output.ended:q}"


rule sync_round:
    input:
        ended=functions.ends_of_round,
    output:
        synced="<results>/{experiment}/rounds/{round}/synced.json",
    log:
        "<logs>/{experiment}/rounds/{round}/sync.log",
    localrule: True
    conda:
        CONDA
    shell:
        # Failed runs too, whose receipt is an interim one.
        "runferry sync-round --log {log:q} {output.synced:q}"


rule best:
    input:
        ended=functions.ends_of_experiment,
    output:
        best="<results>/{experiment}/best.json",
    log:
        "<logs>/{experiment}/best.log",
    localrule: True
    conda:
        CONDA
    params:
        options=functions.best_options,
    shell:
        "runferry best {output.best:q} {params.options:q} 2>&1 | tee {log:q} >&2"
