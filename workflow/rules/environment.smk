rule environment:
    input:
        sources=functions.environment_files,
    output:
        record="<results>/environments/{environment}.json",
    log:
        "<logs>/environments/{environment}.log",
    localrule: True
    conda:
        CONDA
    params:
        options=functions.environment_options,
        content=functions.environment_digest,
    shell:
        "runferry environment {params.options:q} --log {log:q} {output.record:q}"
