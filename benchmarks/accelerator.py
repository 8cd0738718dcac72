"""Seconds, memory and name of the device that a benchmark runs on, the same calls for a GPU and for a CPU."""

import contextlib
import datetime
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .measure import peak_mb

MEMORY = Path("/proc/self/clear_refs")  # takes the mark of the greatest resident memory back, on Linux


class Clock:
    """Wall-clock seconds and greatest memory of work on a device.

    Memory is what torch has allocated on a GPU; on a CPU it is the resident memory of the process, imports included.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.on_gpu = device, device.type == "cuda"

    def wait(self) -> float:
        """The time once all work of the device is done."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds that a call takes, and what it returns."""
        start = self.wait()
        result = work()
        return self.wait() - start, result

    def forget_peak(self) -> None:
        """Begin to look for the greatest memory."""
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with contextlib.suppress(OSError):
                MEMORY.write_text("5")

    def peak_mb(self) -> float:
        """Greatest memory since :meth:`forget_peak`, in MB."""
        return torch.cuda.max_memory_allocated(self.device) / 1e6 if self.on_gpu else peak_mb()


def describe(device: torch.device) -> dict[str, str]:
    """What a figure has to be read with: date, device, driver and versions."""
    facts = {"date": f"{datetime.date.today():%Y-%m-%d}", "device": _cpu(), "driver": "", "torch": torch.__version__}
    if device.type == "cuda":
        tf32 = "with" if torch.backends.cudnn.allow_tf32 else "without"
        facts |= {
            "device": torch.cuda.get_device_name(device),
            "driver": _driver(),
            "libraries": f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, convolutions {tf32} TF32",
        }
    else:
        facts["libraries"] = f"{torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
    return facts


def headline(facts: dict[str, str]) -> str:
    """One line of :func:`describe`."""
    driver = [f"driver {facts['driver']}"] if facts["driver"] else []
    return ", ".join([facts["date"], facts["device"], *driver, f"torch {facts['torch']}", facts["libraries"]])


def _driver() -> str:
    """Version of the GPU's driver, by its own program; "unknown" without it."""
    program = shutil.which("nvidia-smi")
    try:
        query = [program or "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def _cpu() -> str:
    """Name of the processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"CPU {names[0] if names else platform.processor() or platform.machine()}"
