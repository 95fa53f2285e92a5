"""What is printed: both streams, bars that are drawn over, colours, lines without an end, a child's."""

import os
import subprocess
import sys

import wandb

run = wandb.init()
print("on stdout")
print("on stderr", file=sys.stderr)
for i in range(5):
    print(f"\rprogress {i}/4", end="", flush=True)
print()
print("\x1b[31mred\x1b[0m and ünïcode \u2603")
run.log({"x": 1})
os.write(1, b"straight to the descriptor\n")
subprocess.run(["echo", "from a child"])
for i in range(1000):
    print(f"line {i}")
print("several\nlines at\nonce")
print("without an end", end="")
run.finish()
