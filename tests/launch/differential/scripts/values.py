"""Values of all kinds: NaN, infinities, strings, None, large and small numbers, numpy's own, nested ones."""

import numpy
import wandb

run = wandb.init()
run.log({"nan": float("nan"), "inf": float("inf"), "minus": float("-inf"), "nan in list": [float("nan"), 1]})
run.log({"text": 'ünïcode \u2603 "quoted"\n', "none": None, "true": True, "tuple": (1, 2), "complex": str(1 + 2j)})
run.log({"large": 2**53 + 1, "small": 5e-324, "zero": -0.0, "third": 1 / 3})
run.log({"f32": numpy.float32(0.1), "f16": numpy.float16(0.1), "i64": numpy.int64(7), "bool": numpy.bool_(True)})
run.log({"array": numpy.arange(3), "long": numpy.arange(100)})
run.log({"": 1, "key with spaces": 2, "k" * 300: 3})
for i in range(2):
    run.log(
        {"train": {"loss": i, "deep": {"er": {"acc": i / 2}}}, "a.b": i, "a/b": -i, "list": [i, i + 1], "e m p": {}}
    )
run.finish()
