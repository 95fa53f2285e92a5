"""Comet as the tracker: offline in the job, `comet upload` from the login node, and a comparison afterwards.

=================  ====================================================================================================
`in_job`           loaded by the training's Python: keeps what Comet writes where it survives
`tracker`          what a job and a sync are told (`runferry.trackers.tracker.Tracker`)
`segments`         what a run has on disk, and an archive made from it
`server`           asks what a Comet server holds
`verification`     compares the two
`upload`           how `comet upload` is called
`carrier`          carries runs to the server and writes receipts
=================  ====================================================================================================
"""
