"""Define the commands of `runferry`, one module each, and the fast start."""
