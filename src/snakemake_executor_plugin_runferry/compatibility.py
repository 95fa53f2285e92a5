"""What of the Slurm plugin's class the executor calls and replaces, and whether an installed plugin has it."""

from __future__ import annotations

import inspect
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"
PACKAGE = "snakemake-executor-plugin-slurm"
KNOWN = "2.5.3 to 2.8"

# Method -> the parameters that it is called with, here or by Snakemake.
_METHODS = {
    "run_job": ("job",),
    "format_job_exec": ("job",),
    "check_active_jobs": ("active_jobs",),
    "cancel_jobs": ("active_jobs",),
    "report_job_error": ("job_info", "msg"),
    "report_job_success": ("job_info",),
    "report_job_submission": ("job_info",),
    "get_partition_arg": ("job",),
    "get_python_executable": (),
    "sleep": (),
}
_SETTINGS = ("init_seconds_before_status_checks", "keep_successful_logs", "pass_command_as_script", "logdir")


def why_not() -> str | None:
    """Return the line that says why the installed Slurm plugin cannot be built upon; None where it can."""
    try:
        import snakemake_executor_plugin_slurm as plugin  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return (
            f"executor: found no {PACKAGE}, expected the plugin that `executor: runferry` is built upon; "
            "run: pip install 'snakemake-executor-plugin-slurm>=2.5.3'"
        )
    return why_not_plugin(plugin)


def why_not_plugin(plugin: Any) -> str | None:
    """Return the line that says what a Slurm plugin lacks; None where it lacks nothing."""
    executor, settings = getattr(plugin, "Executor", None), getattr(plugin, "ExecutorSettings", None)
    missing = [f"{name}({', '.join(words)})" for name, words in _METHODS.items() if not _takes(executor, name, words)]
    missing += [name for name in _SETTINGS if name not in getattr(settings, "__dataclass_fields__", {})]
    if not hasattr(plugin, "common_settings"):
        missing.append("common_settings")
    if not missing:
        return None
    found = f"found no {', '.join(missing)} in its Executor and ExecutorSettings"
    return f"{PACKAGE} {_version()}: {found}, expected those of {KNOWN}; run: pip install '{PACKAGE}>=2.5.3,<2.9'"


def _takes(executor: Any, name: str, words: tuple[str, ...]) -> bool:
    method = getattr(executor, name, None)
    if not callable(method):
        return False
    parameters = inspect.signature(method).parameters
    any_word = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return any_word or all(word in parameters for word in words)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "of an unknown version"
