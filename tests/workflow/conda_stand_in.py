#!/usr/bin/env python3
"""Plays conda where none can be installed: packages are found, chosen and linked by rattler, from a channel on this disk.

The ``pip`` section of an environment file is installed by pip, from a folder of wheels. Whatever channels the file names, the
one of ``STUB_CHANNEL`` is taken.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import rattler
import yaml

ROOT = Path(__file__).resolve().parent.parent  # the folder whose bin/ this lies in


async def link(specs, prefix):
    """Choose packages and put them into an environment."""
    records = await rattler.solve([os.environ["STUB_CHANNEL"]], specs, platforms=["linux-64", "noarch"])
    await rattler.install(records, prefix, cache_dir=ROOT / "cache", show_progress=False)


def create(file, prefix):
    """Make the environment of a file."""
    wanted = yaml.safe_load(Path(file).read_text())
    if not wanted["channels"]:
        sys.exit(f"{file}: names no channel")
    asyncio.run(link([entry for entry in wanted["dependencies"] if isinstance(entry, str)], prefix))
    pins = [entry for group in wanted["dependencies"] if isinstance(group, dict) for entry in group["pip"]]
    wheels = ["--no-index", "--no-deps", "--find-links", os.environ["STUB_WHEELS"], "--target", f"{prefix}/site-packages"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels, *pins]
    sys.exit(subprocess.run(pip, check=False).returncode)


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
