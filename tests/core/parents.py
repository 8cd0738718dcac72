"""Jobs that are killed, and whether all that they had started ends with them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY


def output_after_kill(folder: Path, program: str, *lines: str) -> str:
    """Run a program, wait for what it prints, kill it, and return the rest of its output.

    The output ends when the last process that holds it is gone.
    """
    (folder / "job.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    job = subprocess.Popen([sys.executable, "job.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    for line in lines:
        assert job.stdout.readline() == f"{line}\n"
    job.kill()
    rest, _ = job.communicate(timeout=60)
    return rest
