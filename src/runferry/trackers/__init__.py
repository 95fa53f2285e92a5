"""Read what W&B and Comet write on disk, ask their servers, and set up the jobs that log to them."""
