"""Measure whether a W&B server is as `runferry sync` assumes, with two small runs of made-up data."""
