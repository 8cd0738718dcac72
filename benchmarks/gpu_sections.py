"""What the benchmark of a GPU measures: each section gives rows, one per training, painter, operator or way to start."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from freetumor.core.device import Device
from freetumor.core.errors import REFUSAL
from freetumor.synthesis.shards import FoldSynthesizer
from freetumor.synthesizer.networks import count_parameters

from . import library, trainings
from .accelerator import Clock
from .determinism import Recorder, unexplained
from .deviations import distance, furthest, off, unequal
from .sections import Setting

REPOSITORY = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
TINY_STEPS = 3  # of the trainings that are compared with those on a CPU
Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is measured, and where.

    Attributes:
        device: where.
        setting: the canvas.
        sizes: of networks and batches.
        networks: trainings, of ``trainings.NAMES``.
        painters: synthesizers, of ``library.SYNTHESIZERS``.
        window: voxels per axis that painters with networks see.
        steps: counted steps of a training.
        warmup: steps before, that are not counted.
        lesions: that are painted into the canvas.
    """

    device: torch.device
    setting: Setting
    sizes: trainings.Sizes
    networks: Sequence[str]
    painters: Sequence[str]
    window: int
    steps: int
    warmup: int
    lesions: int


@dataclass(frozen=True)
class Trained:
    """What became of a training.

    Attributes:
        subject: the training.
        losses: of every step.
        seconds: per counted step.
        peak_mb: greatest memory of the counted steps.
    """

    subject: trainings.Subject
    losses: list[list[float]]
    seconds: float
    peak_mb: float


def train(name: str, options: Options, device: Device, sizes: trainings.Sizes) -> Trained:
    """Build a training and do its steps."""
    clock = Clock(device.torch)
    clock.forget_peak()
    subject = trainings.build(name, sizes, options.setting, device)
    losses: list[list[float]] = []

    def run(steps: int) -> None:
        for _ in range(steps):
            losses.append(subject.losses(subject.trainable.step(subject.first + len(losses))))

    run(options.warmup)
    seconds, _ = clock.timed(lambda: run(options.steps))
    return Trained(subject, losses, seconds / options.steps, clock.peak_mb())


def of_each_training(measure: Callable[[Options, str], Row]) -> Callable[[Options], Iterator[Row]]:
    """The section that measures every training; what a device refuses is said in its row."""

    def section(options: Options) -> Iterator[Row]:
        for name in options.networks:
            try:
                row = measure(options, name)
            except RuntimeError as error:
                row = {"failed": failure(error)}
                if not row["failed"]:
                    raise
            yield {"training": name, **row}

    return section


def failure(error: RuntimeError) -> str:
    """What a device lacks, if that is the error: memory, or a deterministic operator."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    what, found, _ = str(error).partition(REFUSAL)
    return f"refused: {what}" if found else ""


def time_training(options: Options, name: str) -> Row:
    """Throughput and memory of a training, as a study runs it by default: in mixed precision on a GPU."""
    device = Device(options.device, mixed_precision=options.device.type == "cuda")
    done = train(name, options, device, options.sizes)
    return {
        "parameters": sum(map(count_parameters, done.subject.networks.values())),
        "samples": done.subject.samples,
        "steps_per_second": 1 / done.seconds,
        "samples_per_second": done.subject.samples / done.seconds,
        "step_ms": 1e3 * done.seconds,
        "data_ms": 1e3 * seconds_of_data(done),
        "peak_mb": done.peak_mb,
    }


def seconds_of_data(done: Trained) -> float:
    """Seconds of one more step before any network is called: reading, drawing and copying its samples."""
    called: list[float] = []
    modules = [module for network in done.subject.networks.values() for module in network.modules()]
    hooks = [module.register_forward_pre_hook(lambda *_: called.append(time.perf_counter())) for module in modules]
    start = time.perf_counter()
    done.subject.trainable.step(done.subject.first + len(done.losses))
    for hook in hooks:
        hook.remove()
    return called[0] - start


def compare_precision(options: Options, name: str) -> Row:
    """A training in full and in mixed precision, from the same seeds."""
    full, mixed = (
        train(name, options, Device(options.device, mixed_precision=wanted), options.sizes) for wanted in (False, True)
    )
    return {
        "full_ms": 1e3 * full.seconds,
        "mixed_ms": 1e3 * mixed.seconds,
        "speed": full.seconds / mixed.seconds,
        "full_mb": full.peak_mb,
        "mixed_mb": mixed.peak_mb,
        "steps": len(full.losses),
        "loss": full.losses[-1][0],
        "mixed_loss": mixed.losses[-1][0],
        "largest_difference": furthest(full.losses, mixed.losses),
    }


def repeat_training(options: Options, name: str) -> Row:
    """A training twice with deterministic kernels, and once with the fastest; a tiny one here and on a CPU."""
    device = Device(options.device)
    with demanded("error"):
        first, again = (train(name, options, device, options.sizes) for _ in range(2))
    with demanded("default"):
        free = train(name, options, device, options.sizes)
    few = replace(options, steps=TINY_STEPS, warmup=0)
    here, on_cpu = (train(name, few, Device(place), trainings.TINY) for place in (options.device, CPU))
    weights = first.subject.tensors()
    return {
        "steps": len(first.losses),
        "tensors": len(weights),
        "unequal": len(unequal(weights, again.subject.tensors())),
        "unequal_if_free": len(unequal(weights, free.subject.tensors())),
        "deterministic_ms": 1e3 * again.seconds,
        "free_ms": 1e3 * free.seconds,
        "loss_off_cpu": furthest(on_cpu.losses, here.losses),
        "weights_off_cpu": distance(on_cpu.subject.tensors(), here.subject.tensors()),
    }


@contextmanager
def demanded(mode: str) -> Iterator[None]:
    """Set torch's demand for determinism for as long as the context lasts."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(mode)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def list_operators(options: Options) -> Iterator[Row]:
    """Operators of torch's lists that a step of each training dispatches on this device."""
    found: dict[str, list[str]] = {}
    refused: set[str] = set()
    for name in options.networks:
        recorder = Recorder()
        with demanded("default"):
            subject = trainings.build(name, trainings.TINY, options.setting, Device(options.device))
            with recorder:
                subject.trainable.step(subject.first)
        refused |= recorder.refused
        for operator in recorder.listed:
            found.setdefault(operator, []).append(name)
    for operator in sorted(found):
        yield {
            "operator": operator,
            "deterministic": "no" if operator in refused else "if asked for",
            "explained": operator not in unexplained([operator]),
            "trainings": found[operator],
        }


def time_synthesis(options: Options) -> Iterator[Row]:
    """Painting a stored volume into the bank, judged by a segmenter: weights are drawn, and all that it judges is kept."""
    clock = Clock(options.device)
    for name in options.painters:
        config = library.study(name, options.setting.canvas.grid, options.sizes.lesion, options.lesions, options.window)
        settings = config.synthesizers[name]
        gated = settings.model_copy(update={"gate": settings.gate.model_copy(update={"kind": "segmenter"})})
        config = config.model_copy(update={"synthesizers": {name: gated}})
        folder = options.setting.folder / "synthesis"
        painter = FoldSynthesizer(config, library.build(config, folder, device=options.device), name, 0)
        paint = partial(library.bank_volume, painter, options.setting.files, folder / "bank.pack")
        paint()
        clock.forget_peak()
        seconds, banked = clock.timed(paint)
        painted = len(banked.lesions)
        yield {
            "painter": name,
            "gate": gated.gate.kind,
            "wanted": len(banked.rows),
            "painted": painted,
            "lesions_per_second": painted / seconds,
            "lesion_ms": 1e3 * seconds / max(painted, 1),
            "peak_mb": clock.peak_mb(),
        }


def time_launch(options: Options) -> Iterator[Row]:
    """The same two steps by a process alone and by one that talks to a group, nccl or gloo, each started by ``launch.py``."""
    found = []
    for way in ("alone", "torchrun"):
        output = options.setting.folder / f"{way}.pt"
        program = ["benchmarks/launched.py", way, str(output), options.device.type, options.setting.name]
        command = [sys.executable, "scripts/launch.py", "--gpus", "1", *program]
        path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "scripts")))
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        seconds = time.perf_counter() - start
        facts, result = json.loads(done.stdout.splitlines()[-1]), torch.load(output, weights_only=True)
        found.append(result)
        yield {
            "way": way,
            **facts,
            "seconds": seconds,
            "loss_off_alone": furthest(found[0]["losses"], result["losses"]),
            "gradient_off_alone": off(found[0]["gradients"], result["gradients"]),
        }


SECTIONS = {
    "training": of_each_training(time_training),
    "precision": of_each_training(compare_precision),
    "determinism": of_each_training(repeat_training),
    "operators": list_operators,
    "synthesis": time_synthesis,
    "launch": time_launch,
}
