"""Read what comet_ml writes offline, ask its server, and set up the jobs that log to it.

`hook` is loaded by the training's Python and keeps what Comet writes where it survives; `runferry.sync.comet` uploads
archives and compares.
"""
