"""Graphics processors of one machine, dealt out to jobs so that two never meet on one.

Snakemake counts GPUs but does not assign them: without this, every job takes the first. A job holds one lock file per GPU
for as long as it lives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from .errors import UserError
from .locks import locked

# Inside an allocation the scheduler deals; its numbers mean nothing outside, so that each allocation has locks of its own.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
PAUSE = 0.5  # seconds between two looks
PATIENCE = 30.0  # seconds between two lines that tell of waiting


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs that a job may use: the entries of ``CUDA_VISIBLE_DEVICES`` if it is set, else all of the machine."""
    if (names := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in names.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if (program := shutil.which("nvidia-smi", path=environment.get("PATH"))) is None:
        return []
    query = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]


def slots_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Folder of the lock files: of this machine, this user and, inside an allocation of a scheduler, of the allocation."""
    allocation = next((f"-{name}-{environment[name]}" for name in ALLOCATIONS if environment.get(name)), "")
    name = re.sub(r"[^\w.-]", "_", f"freetumor-gpus-{os.getuid()}{allocation}")
    return Path(environment.get("FREETUMOR_GPU_SLOTS") or Path(tempfile.gettempdir()) / name)


def take_gpus(count: int, gpus: list[str], folder: Path) -> list[str]:
    """Wait until ``count`` of ``gpus`` are free, and hold them until this process and all that it turns into have ended.

    Args:
        count: how many, at least one.
        gpus: names to choose among.
        folder: where the lock files lie; made if it is not there.

    Returns:
        The names of those held, in the order of ``gpus``.

    Raises:
        UserError: if there are fewer than ``count`` GPUs at all.
    """
    if count > len(gpus):
        raise UserError(
            f"compute.gpus_per_job: the job wants {count} GPUs, but it sees {len(gpus)} ({', '.join(gpus) or 'none'})"
        )
    folder.mkdir(parents=True, exist_ok=True)
    told = time.monotonic()
    while len(held := _hold(count, gpus, folder)) < count:
        for descriptor in held.values():  # else two jobs that have one each would wait for each other for ever
            os.close(descriptor)
        if time.monotonic() - told > PATIENCE:
            told = time.monotonic()
            print(f"waiting for {count} of {len(gpus)} GPUs; other jobs hold them", file=sys.stderr, flush=True)
        time.sleep(PAUSE * (1 + os.getpid() % 7 / 7))
    for descriptor in held.values():
        os.set_inheritable(descriptor, True)
    return list(held)


def _hold(count: int, gpus: list[str], folder: Path) -> dict[str, int]:
    """Lock as many free GPUs as there are, at most ``count``: name and open descriptor of each."""
    held: dict[str, int] = {}
    for gpu in gpus:
        if len(held) == count:
            break
        descriptor = os.open(folder / (re.sub(r"[^\w.-]", "_", gpu) + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        if locked(descriptor):
            held[gpu] = descriptor
        else:
            os.close(descriptor)
    return held
