"""One loop for every training: batches by step number, exact resume, progress.

A training is a state and a step function; everything random in step ``n`` derives from ``n``, so the loop has nothing to
restore but the state and the step it had reached.
"""

import math
from typing import Any, Protocol

import torch

from .checkpoint import Checkpoints
from .config import Training
from .device import Device
from .progress import Progress

Row = tuple[int, str, float]


class Trainable(Protocol):
    """What the loop trains."""

    def step(self, step: int) -> dict[str, float]:
        """Do optimizer step number ``step``, counted from 1; return numbers to record."""
        ...

    def validate(self, step: int) -> dict[str, float]:
        """Measure and return numbers to record; called every ``validate_every`` steps and at the end."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        ...


def optimize(trainable: Trainable, settings: Training, checkpoints: Checkpoints, device: Device, label: str) -> list[Row]:
    """Run a training to its end, from its newest checkpoint if there is one.

    Args:
        trainable: what to train.
        settings: number of steps and how often to validate and to save.
        checkpoints: the sidecar.
        device: this process's place; only the leading one writes and prints.
        label: what the progress lines say.

    Returns:
        The history: (step, name, value) for every recorded number, means over the steps since the last record.
    """
    history: list[Row] = []
    first = 1
    saved = checkpoints.load()
    if saved is not None:
        trainable.restore(saved["trainable"])
        history = [tuple(row) for row in saved["history"]]
        first = saved["step"] + 1
    progress = Progress(label, settings.steps, "step", done=first - 1, interval=10)
    recent: dict[str, list[float]] = saved["recent"] if saved is not None else {}
    for step in range(first, settings.steps + 1):
        for name, value in trainable.step(step).items():
            recent.setdefault(name, []).append(value)
        if step % settings.validate_every == 0 or step == settings.steps:
            means = {name: sum(values) / len(values) for name, values in recent.items()}
            history += [
                (step, name, value) for name, value in (means | trainable.validate(step)).items() if not math.isnan(value)
            ]
            recent = {}
        if device.leads:
            note = ", ".join(f"{name} {values[-1]:.3f}" for name, values in recent.items() if name.startswith("loss"))
            progress.advance(note=note)
        if (step % settings.checkpoint_every == 0 or step == settings.steps) and device.leads:
            checkpoints.save(
                step,
                {
                    "step": step,
                    "trainable": trainable.state(),
                    "history": [list(row) for row in history],
                    "recent": recent,
                },
            )
        device.barrier()
    return history


def learning_rate(settings: Training, step: int) -> float:
    """Learning rate of step number ``step`` (counted from 1): linear warm-up, then cosine to zero or constant."""
    if step <= settings.warmup:
        return settings.learning_rate * step / settings.warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warmup) / max(settings.steps - settings.warmup + 1, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
