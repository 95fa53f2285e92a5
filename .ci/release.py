"""Make a release: check that the tree is ready, build, try what was built, tag. `make release VERSION=x.y.z`.

Nothing leaves the machine: what is to be pushed is printed. Nothing is tagged unless all of it went well.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INIT = "src/runferry/__init__.py"
META_WRAPPER = "workflow/wrappers/meta/train_and_sync/meta_wrapper.smk"

# What is asked of the installed wheel: that it is imported, and has the file that lies elsewhere in a checkout.
IN_THE_WHEEL = """
import sys, runferry
from runferry.config.loading import schema_file
sys.exit(not (runferry.__file__.startswith(sys.prefix) and schema_file().is_relative_to(runferry.__path__[0])))
"""


def main(arguments: list[str]) -> int:
    """Release the version that is the only argument; return an exit code."""
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        given = " ".join(arguments) or "nothing"
        return _refuse([f"found {given} as the version, expected one such as 1.2.0: make release VERSION=1.2.0"])
    version = arguments[0]
    try:
        if problems := _not_ready(version):
            return _refuse(problems)
        print("building the source distribution, and from it the wheel", flush=True)
        built = _build(version)
        print("installing the wheel into an environment of its own", flush=True)
        _try(built["whl"], version)
        notes = _section(version)
        _run(
            "git",
            "tag",
            "--annotate",
            f"v{version}",
            "--cleanup=verbatim",
            "--message",
            f"runferry {version}\n\n{notes}",
        )
    except subprocess.CalledProcessError as error:
        return _refuse(
            [
                f"{shlex.join(map(str, error.cmd))} failed with exit code {error.returncode}",
                error.stderr or error.stdout or "",
            ]
        )
    branch = _run("git", "branch", "--show-current") or "HEAD"
    print(f"tagged v{version}; built {', '.join(file.name for file in built.values())} in dist/. To publish it, type:")
    print(f"  git push origin {branch} v{version}")
    print("and make a release of the tag on GitHub: Snakemake's workflow catalog shows the newest one.")
    return 0


def _not_ready(version: str) -> list[str]:
    """Say what keeps the tree from being released as `version`."""
    problems: list[str] = []
    if changed := _run("git", "status", "--porcelain"):
        problems.append(
            f"found changes that are not committed ({changed.splitlines()[0].strip()}), expected a clean tree"
        )
    if _run("git", "tag", "--list", f"v{version}"):
        problems.append(f"found a tag v{version}, expected a version that was not released yet")
    found = re.search(r'^__version__ = "(.*)"$', (ROOT / INIT).read_text(), re.MULTILINE)
    if found is None or found[1] != version:
        problems.append(f"{INIT}: found version {found and found[1]}, expected {version}: write and commit it")
    if other := set(re.findall(r'"v([^/]+)/workflow/', (ROOT / META_WRAPPER).read_text())) - {version}:
        problems.append(f"{META_WRAPPER}: found wrappers of v{other.pop()}, expected v{version}: write and commit it")
    if not _section(version):
        expected = f"## [{version}] - <year>-<month>-<day>"
        problems.append(f"CHANGELOG.md: found no section {expected} that says what is new, expected one")
    return problems


def _section(version: str) -> str:
    """Return what CHANGELOG.md says of a version."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    return found[1].strip() if found else ""


def _build(version: str) -> dict[str, Path]:
    """Build the source distribution, and from that the wheel, with the tools that are installed here."""
    for old in (ROOT / "dist").glob("runferry-*"):
        old.unlink()
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", ROOT / "dist")
    names = {"tar.gz": f"runferry-{version}.tar.gz", "whl": f"runferry-{version}-py3-none-any.whl"}
    return {kind: (ROOT / "dist" / name).resolve(strict=True) for kind, name in names.items()}


def _try(wheel: Path, version: str) -> None:
    """Install the wheel into an environment of its own, which finds what it needs in this one, and ask it."""
    with tempfile.TemporaryDirectory(prefix="runferry-release-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        here = "import sysconfig; print(sysconfig.get_path('purelib'))"
        own, these = (_run(program, "-c", here) for program in (python, sys.executable))
        (Path(own) / "of-the-checkout.pth").write_text(f"{these}\n")
        _run(python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel)
        said = _run(Path(folder) / "bin" / "runferry", "--version")
        if said != f"runferry {version}":
            raise subprocess.CalledProcessError(1, ["runferry", "--version"], stderr=f"it says {said!r}")
        _run(python, "-c", IN_THE_WHEEL)


def _run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _refuse(problems: list[str]) -> int:
    for problem in filter(None, problems):
        print(f"release: {problem}", file=sys.stderr)
    print("release: nothing was tagged", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(_refuse(["interrupted"]))
