"""Know Comet: what comet_ml writes offline, how its server is asked, and what a job must tell it.

`hook` is loaded by the training's Python and keeps what Comet writes where it survives; `runferry.sync.comet` uploads
archives and compares.
"""
