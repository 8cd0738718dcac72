"""One loop for every training: batches by step number, exact resume, progress.

A training is a state and a step function; everything random in step ``n`` derives from ``n``, so the loop has nothing to
restore but the state and the step it had reached.
"""

import math
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoints
from .config import Training
from .device import Device
from .progress import Progress

Row = tuple[int, str, float]
MOMENTUM = 0.9


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


class Supervised:
    """What all supervised trainings share: a network, its optimizer, and the weights to keep.

    Args:
        network: the network.
        settings: optimizer, learning rate, and which weights are kept.
        device: where to compute.

    Attributes:
        kept: the state of the network that is kept, on the CPU.
    """

    def __init__(self, network: nn.Module, settings: Training, device: Device) -> None:
        self.network, self.settings, self.device = network.to(device.torch), settings, device
        device.synchronize_norms(self.network)
        self.optimizer = make_optimizer(self.network, settings)
        self.kept: dict[str, Tensor] = {}
        self.best_score = float("-inf")

    def descend(self, step: int, losses: Iterable[Tensor], parts: int = 1) -> float:
        """Take optimizer step number ``step`` down the gradient of the mean of ``parts`` losses, and return the mean.

        Each loss is taken back through the network before the next is asked for, so that one part at a time is in memory.
        """
        set_learning_rate(self.optimizer, learning_rate(self.settings, step))
        self.optimizer.zero_grad(set_to_none=True)
        mean = 0.0
        for loss in losses:
            (loss / parts).backward()
            mean += loss.item() / parts
        self.device.average_gradients(self.network)
        self.optimizer.step()
        return mean

    def keep(self, score: float) -> None:
        """Keep the present weights if they are the ones to keep; ``score`` is better when higher."""
        if self.settings.keep == "last" or score >= self.best_score:  # of equals, the later: it has seen more
            self.best_score = score
            self.kept = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Network, optimizer and the weights kept so far."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "kept": self.kept,
            "best_score": self.best_score,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.kept, self.best_score = state["kept"], state["best_score"]


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
        for name, value in device.average(trainable.step(step)).items():
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


def make_optimizer(network: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """The optimizer of a supervised training: AdamW, or stochastic gradient descent with Nesterov momentum 0.9."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), settings.learning_rate, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)


def with_steps(settings: Training, samples: int) -> Training:
    """The same training with ``epochs``, if it counts in them, turned into ``steps``: ceil(epochs * samples / batch).

    Args:
        settings: the training.
        samples: size of its training set.
    """
    if settings.epochs is None:
        return settings
    return settings.model_copy(update={"steps": max(1, -(-settings.epochs * samples // settings.batch))})


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
