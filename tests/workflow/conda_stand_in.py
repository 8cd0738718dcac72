#!/usr/bin/env python3
"""Plays conda where none can be installed: an environment is a folder whose `python` is the one of the tests, and tells it.

It refuses what conda would refuse too: an environment file without a Python, without channels, or with a package that has no
exact version.
"""

import json
import os
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent  # the folder whose bin/ this lies in


def create(file, prefix):
    """Make the environment of a file."""
    wanted = yaml.safe_load(Path(file).read_text())
    plain = [entry for entry in wanted["dependencies"] if isinstance(entry, str)]
    pinned = [entry for group in wanted["dependencies"] if isinstance(group, dict) for entry in group["pip"]]
    if not wanted["channels"] or "python=3.11" not in plain or not pinned or any("==" not in entry for entry in pinned):
        sys.exit(f"{file}: not an environment of this project")
    python = Path(prefix) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {prefix}/calls\nexec {os.environ["REAL_PYTHON"]} "$@"\n')
    python.chmod(0o755)
    (Path(prefix) / "pins").write_text("\n".join(pinned))


def main():
    """Answer one call."""
    words = sys.argv[1:]
    if words == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(ROOT), "platform": "linux-64"}))
    elif words == ["--version"]:
        print("conda 25.1.1")
    elif words[:2] == ["config", "--get"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:2] == ["env", "create"]:
        create(words[words.index("--file") + 1], words[words.index("--prefix") + 1])
    elif words[0] != "clean":
        sys.exit(f"this stand-in does not know: conda {' '.join(words)}")


main()
