rule environment:
    input:
        sources=lambda wildcards: plan.environment_files(wildcards.environment),
    output:
        record="<results>/environments/{environment}.json",
    log:
        "<logs>/environments/{environment}.log",
    localrule: True
    conda:
        "../envs/runferry.yaml"
    params:
        options=lambda wildcards: plan.environment_options(wildcards.environment),
        # A change that no input's time shows: another Python, a file of the user's own package.
        content=lambda wildcards: plan.environment_digest(wildcards.environment),
    shell:
        "runferry environment {params.options:q} --log {log:q} {output.record:q}"
