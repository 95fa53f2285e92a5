"""One job of a sweep whose wandb.init raises, because of an int as a key of the config, beside one that goes well."""
#: exit_codes = [0, 1]

#: jobs = [["good"], ["bad"]]
#: alone = true
import sys

import truth
import wandb

run = wandb.init(config={5: 1} if sys.argv[1] == "bad" else {})
for i in range(5):
    run.log({"x": i})
    truth.write("good", {"x": i}, i)
run.finish()
