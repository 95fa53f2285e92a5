# Searches: each run asks for its point when it starts, told of all that has ended by then. How many points there are is
# known beforehand; how many runs there are at a time is a limited resource, so that none waits for a certain other one.


rule search:
    output:
        begun="<results>/{experiment}/search/search.json",
    log:
        "<logs>/{experiment}/search.log",
    localrule: True
    conda:
        "../envs/runferry.yaml"
    params:
        digest=functions.search_digest,
    script:
        "../scripts/begin_search.py"


rule train_in_search:
    input:
        # Written again where the search gets longer: what is trained stays so.
        begun=ancient(rules.search.output.begun),
        needs=functions.needs_of_place,
    output:
        # That the run has ended; a failed one is a result, too, which the engine is told.
        ended="<results>/{experiment}/search/{place}.json",
    log:
        "<results>/{experiment}/search/{place}.log",
    # As of rule `train`.
    retries: plan.retries
    conda:
        "../envs/runferry.yaml"
    threads: functions.cores
    resources:
        **functions.search_resources,
    shell:
        # The log is a link to the run's own.
        "runferry launch-place {output.ended:q}"


rule sync_place:
    input:
        ended="<results>/{experiment}/search/{place}.json",
    output:
        synced="<results>/{experiment}/search/{place}-synced.json",
    log:
        "<logs>/{experiment}/search/{place}-sync.log",
    localrule: True
    conda:
        "../envs/runferry.yaml"
    shell:
        # Failed runs too, whose receipt is an interim one.
        "runferry sync-place --log {log:q} {output.synced:q}"
