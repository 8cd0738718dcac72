"""Whether the packages that results depend on are the pinned ones."""

import re
import sys
from pathlib import Path

from .provenance import installed_versions

LOCK = Path(__file__).resolve().parents[3] / "envs" / "requirements.lock"


def read_lock(path: Path) -> dict[str, str]:
    """Pinned version of each package in a lock file, by normalized name."""
    pattern = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)")
    matches = (pattern.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in matches if match}


def other_versions(lock: Path = LOCK) -> dict[str, tuple[str, str]]:
    """Packages that are installed in another version than pinned: name to (installed, pinned). Build tags do not count.

    Empty where there is no lock: outside a checkout the library takes what its own requirements admit.
    """
    if not lock.is_file():
        return {}
    pins = read_lock(lock)
    pairs = {name: (found, pins[name.lower()]) for name, found in installed_versions().items() if name.lower() in pins}
    return {name: (found, pinned) for name, (found, pinned) in pairs.items() if found.split("+")[0] != pinned}


def warn_of_other_versions(lock: Path = LOCK) -> None:
    """Say on standard error which pins are not honored."""
    for name, (found, pinned) in other_versions(lock).items():
        print(
            f"WARNING: {name} {found} is installed, but {lock.name} pins {pinned}: results may differ from those of others",
            file=sys.stderr,
            flush=True,
        )
