# Wrappers of the same version as this file: Snakemake runs what stands here, whatever version this one is asked for by.
rule environment:
    input:
        requirements="<requirements>",
    output:
        record="<results>/environments/default.json",
    log:
        "<logs>/environment.log",
    localrule: True
    wrapper:
        "v0.1.0/workflow/wrappers/environment"


rule train:
    input:
        environment="<results>/environments/default.json",
        script="<script>",
    output:
        trained="<results>/{experiment}/{run}/trained.json",
    log:
        "<results>/{experiment}/{run}/train.log",
    threads: 2
    params:
        command=lambda wildcards, input: ["python", input.script],
    wrapper:
        "v0.1.0/workflow/wrappers/train"


rule sync:
    input:
        trained="<results>/{experiment}/{run}/trained.json",
    output:
        receipt="<results>/{experiment}/{run}/receipt.json",
    log:
        "<logs>/sync/{experiment}/{run}.log",
    localrule: True
    wrapper:
        "v0.1.0/workflow/wrappers/sync"
