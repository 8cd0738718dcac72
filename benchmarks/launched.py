"""Two steps of two trainings, by a process alone or, under torchrun, by one that talks to its group although it is alone in it.

    python scripts/launch.py --gpus 1 benchmarks/launched.py alone OUTPUT cuda tiny
    python scripts/launch.py --gpus 1 benchmarks/launched.py torchrun OUTPUT cuda tiny

writes losses and gradients to OUTPUT, and prints one line of JSON: the backend, and what a sum over the group takes.
"""

import json
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks import trainings
from benchmarks.accelerator import Clock
from benchmarks.sections import Setting
from freetumor.core import distributed
from freetumor.core.config import Compute
from freetumor.core.device import Device, prepare

STEPS = 2
MESSAGE = 19_070_000  # numbers: the gradients of the paper's generator
TRAININGS = ("unet", "adversarial_unet3d")


@dataclass(frozen=True)
class Joined(Device):
    """A process that talks to its group whether or not there are others."""

    def total(self, value: Tensor) -> Tensor:
        """As of several processes."""
        return distributed.total(value)

    def gather(self, part: Tensor) -> Tensor:
        """As of several processes."""
        return distributed.gather(part)

    def synchronize_norms(self, network: nn.Module) -> None:
        """As of several processes."""
        distributed.synchronize_norms(network)

    def average_gradients(self, module: nn.Module) -> None:
        """As of several processes."""
        distributed.average_gradients(module)


def main(way: str, output: str, kind: str, canvas: str) -> None:
    """Do the steps and write what came of them; under ``torchrun``, become it first."""
    grouped = "TORCHELASTIC_RUN_ID" in os.environ
    if way == "torchrun" and not grouped:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
        os.execv(sys.executable, [sys.executable, *torchrun, *sys.argv])
    warnings.filterwarnings("ignore", module="monai")
    device, facts = prepare(Compute(device=kind, mixed_precision=False)), {"backend": "", "sum_ms": None}
    if grouped:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
        device = Joined(device.torch)
        facts = {"backend": dist.get_backend(), "sum_ms": 1e3 * seconds_of_sum(device)}
    found: dict = {"losses": [], "gradients": {}}
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(canvas, Path(folder))
        for name in TRAININGS:
            subject = trainings.build(name, trainings.TINY, setting, device)
            for step in range(1, STEPS + 1):
                found["losses"].append(subject.losses(subject.trainable.step(step)))
            for key, network in subject.networks.items():
                for place, parameter in network.named_parameters():
                    found["gradients"][f"{name}.{key}.{place}"] = parameter.grad.cpu()
    torch.save(found, output)
    if grouped:
        dist.destroy_process_group()
    print(json.dumps(facts))


def seconds_of_sum(device: Device, repeats: int = 5) -> float:
    """Seconds of a sum over the group of as many numbers as a large network has gradients."""
    clock, message = Clock(device.torch), torch.ones(MESSAGE, device=device.torch)
    dist.all_reduce(message)
    seconds, _ = clock.timed(lambda: [dist.all_reduce(message) for _ in range(repeats)])
    return seconds / repeats


if __name__ == "__main__":
    main(*sys.argv[1:])
