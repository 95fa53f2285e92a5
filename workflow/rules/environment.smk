rule environment:
    input:
        requirements=plan.requirements,
    output:
        record="<results>/environments/{environment}.json",
    log:
        "<logs>/environments/{environment}.log",
    localrule: True
    conda:
        "../envs/runferry.yaml"
    params:
        options=plan.environment_options,
    shell:
        "runferry environment --requirements {input.requirements:q} {params.options:q} --log {log:q} {output.record:q}"
