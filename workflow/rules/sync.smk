rule sync:
    input:
        trained="<results>/{experiment}/{run}/trained.json",
    output:
        receipt="<results>/{experiment}/{run}/receipt.json",
    log:
        "<logs>/{experiment}/sync/{run}.log",
    localrule: True
    conda:
        CONDA
    params:
        folder=subpath(output.receipt, parent=True),
    shell:
        # What else is trained goes with it, so that many of these rules cost one `wandb sync`. How, see `sync` in the config.
        "runferry sync --with-trained --log {log:q} {params.folder:q}"


rule sync_all:
    log:
        "<logs>/sync_all.log",
    # Not a list of receipts: it carries what is there, of failed runs too, and trains nothing.
    localrule: True
    conda:
        CONDA
    params:
        folders=EXPERIMENT_FOLDERS,
    shell:
        "runferry sync --if-any --log {log:q} {params.folders:q}"
