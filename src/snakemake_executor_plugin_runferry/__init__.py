"""Snakemake's executor `runferry`: a subclass of the Slurm plugin's whose jobs, where a rule trains, are the launcher.

Snakemake finds the package by its name and takes the three names below from it.
"""

from __future__ import annotations

from snakemake_executor_plugin_runferry.plugin import Executor, ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
