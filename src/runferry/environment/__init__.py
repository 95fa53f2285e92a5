"""Build the training environment once on the login node; unpack it in every job."""
