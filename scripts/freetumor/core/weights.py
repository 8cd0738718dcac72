"""Weights of trained networks: safetensors with the description of the network in the header."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import UserError
from .files import atomic


def save_weights(path: str | Path, state: dict[str, torch.Tensor], description: dict[str, Any]) -> None:
    """Write a state dictionary atomically; ``description`` (JSON) travels in the header."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"description": json.dumps(description, sort_keys=True)})


def load_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read weights and their description.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as stream:
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
            return state, json.loads((stream.metadata() or {}).get("description", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not readable as weights ({error})") from error
