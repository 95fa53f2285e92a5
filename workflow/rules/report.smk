rule report:
    input:
        runs=expand("<results>/{experiment}/runs.tsv", experiment=plan.listed),
        rounds=plan.ends_of_rounds(
            synced="<results>/{experiment}/rounds/{round}/synced.json",
            place="<results>/{experiment}/rounds/{round}/{place}.json",
        ),
        places=plan.ends_of_points(
            synced="<results>/{experiment}/search/{place}-synced.json",
            place="<results>/{experiment}/search/{place}.json",
        ),
        receipts=plan.ends_of_runs(
            synced="<results>/{experiment}/{run}/receipt.json",
            trained="<results>/{experiment}/{run}/trained.json",
        ),
    output:
        pages=report(
            expand("<results>/{experiment}/report.html", experiment=plan.experiments),
            caption="../report/curves.rst",
            category="Training",
        ),
    log:
        "<logs>/report.log",
    localrule: True
    conda:
        CONDA
    params:
        folders=EXPERIMENT_FOLDERS,
        cluster=plan.cluster.name,
    shell:
        # Snakemake makes an empty log for every rule that had nothing to say, and sites count files.
        "runferry report --cluster {params.cluster:q} --log {log:q} {params.folders:q} && "
        "find \"$(dirname {log:q})\" \\( -path '*/sync/*.log' -o -path '*/settle/*.log' -o -path '*/packs/*.log' \\) -empty -delete"
