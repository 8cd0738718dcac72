"""What produced a result: versions, code, settings and machine, as a JSON file beside it."""

import importlib.metadata
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .code import code_hash
from .files import write_json

PACKAGES = ("torch", "monai", "numpy", "scipy", "pandas", "snakemake", "blosc2", "SimpleITK")


def git_commit() -> str:
    """The commit of the working tree, with ``+changes`` if it differs from it; empty outside a repository."""
    try:
        run = {"capture_output": True, "text": True, "timeout": 10, "check": True, "cwd": Path(__file__).parent}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], **run).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+changes" if changed else "")


def installed_versions() -> dict[str, str]:
    """Versions of the packages that results depend on; those that are not installed are left out."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def write_provenance(path: str | Path, started: float, settings: Any = None, **facts: Any) -> None:
    """Write the provenance of a job that began at ``started`` (``time.monotonic()``) to ``path``.

    Machine facts differ between runs by nature, so this file is never an input of a rule.
    """
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_available()
    write_json(
        path,
        {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "commit": git_commit(),
            "code": code_hash(sys.argv[0]) if sys.argv[0].endswith(".py") else "",
            "versions": installed_versions(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads() if torch is not None else None,
            "gpu": torch.cuda.get_device_name() if on_gpu else "",
            "gpu_peak_mib": round(torch.cuda.max_memory_allocated() / 2**20) if on_gpu else None,
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "seconds": round(time.monotonic() - started, 1),
            "settings": settings,
            **facts,
        },
    )
