from __future__ import annotations

import pytest

from runferry.environment.installation import explain_failure

# What pip 26 prints.
IGNORED = (
    "ERROR: Ignored the following versions that require a different python version: "
    "1.21.6 Requires-Python >=3.7,<3.11; 2.5.0 Requires-Python >=3.12; 2.5.1 Requires-Python >=3.12"
)
OLD_NUMPY = """\
ERROR: Could not find a version that satisfies the requirement numpy==99 (from versions: 2.0, 2.1, 2.2, 2.3, 2.4, 2.5)
ERROR: No matching distribution found for numpy==99"""
NEW_NUMPY = f"{IGNORED}\n{OLD_NUMPY.replace('99', '2.5.0')}"
MISSING = """\
ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)
ERROR: No matching distribution found for nosuch"""
MISSING_BELOW = MISSING.replace("nosuch (", "nosuch>=2 (from mine) (")
OFFLINE = f"""\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError("...")': /simple/nosuch/
{MISSING}"""
CONFLICT = """\
ERROR: Cannot install numpy<1.20 and pandas==3.1.1 because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested numpy<1.20
    pandas 3.1.1 depends on numpy>=2.0.2; python_version < "3.14"

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/"""
OTHER_PYTHON = "ERROR: Package 'mine' requires a different Python: 3.11.7 not in '>=3.13'"
INVALID = "ERROR: Invalid requirement: 'num py': Expected semicolon\n    num py\n        ^ (from line 1 of q.txt)"
NO_SPACE = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
UNBUILT = (
    "  error: subprocess-exited-with-error\nERROR: Failed to build 'mine' when getting requirements to build wheel"
)


@pytest.mark.parametrize(
    ("output", "no_index", "said"),
    [
        (OLD_NUMPY, False, "numpy==99 is not in the package index, which has numpy 2.1, 2.2, 2.3, 2.4, 2.5, for"),
        (OLD_NUMPY, True, "numpy==99 is not in the site's wheelhouse, which has numpy 2.1"),
        (NEW_NUMPY, False, "numpy==2.5.0 needs Python >=3.12; change environment.python"),
        (MISSING, False, "nosuch is not in the package index for this Python; correct its name"),
        (MISSING, True, "nosuch is not in the site's wheelhouse for this Python; correct its name, or take what"),
        (MISSING_BELOW, False, "nosuch>=2 is not in the package index"),
        (OFFLINE, False, "nosuch was not found, because the package index cannot be reached"),
        (CONFLICT, False, "Cannot install numpy<1.20 and pandas==3.1.1 because"),
        (OTHER_PYTHON, False, "Package 'mine' requires a different Python: 3.11.7 not in '>=3.13'; change"),
        (INVALID, False, "Invalid requirement: 'num py': Expected semicolon; correct the file"),
        (NO_SPACE, False, "the disk is full where the environment is built; set TMPDIR"),
        (UNBUILT, False, "Failed to build 'mine' when getting requirements to build wheel; ask for"),
        ("Looking in links: /w\nERROR: Something new", False, "pip failed and said: Something new"),
        ("", False, "pip failed and said: nothing"),
    ],
)
def test_a_failure_of_pip_is_one_line_that_names_what_to_do(output: str, no_index: bool, said: str) -> None:
    line = explain_failure(output.splitlines(), no_index)
    assert line.startswith(said)
    assert "\n" not in line
