"""One training job from start to declared outputs: device, resume, weights, history, provenance."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoints
from .code import code_hash
from .config import Config, Training
from .device import Device, prepare
from .files import sha256_file, sha256_json
from .optimization import Trainable, optimize
from .provenance import write_provenance
from .tables import HISTORY, make_table, write_table
from .weights import save_weights


def run_training(
    label: str,
    config: Config,
    settings: Training,
    inputs: Sequence[str | Path],
    identity: Any,
    build: Callable[[Device], Trainable],
    networks: Callable[[Any], dict[str, dict]],
    outputs: dict[str, Path],
    history: Path,
    sidecar: Path,
) -> None:
    """Train, resuming from ``sidecar`` if an earlier run of the same job was interrupted, and write the declared outputs.

    Args:
        label: what the progress lines say.
        config: the study.
        settings: the optimization.
        inputs: files that the result depends on; their content enters the fingerprint.
        identity: settings that the result depends on.
        build: makes the trainable on a device.
        networks: gives the state dictionaries to write, by the keys of ``outputs``.
        outputs: where to write them.
        history: the table of recorded numbers.
        sidecar: folder of the resumable checkpoints.
    """
    started = time.monotonic()
    device = prepare(config.compute)
    facts = {
        "identity": identity,
        "organs": config.organs,
        "inputs": [sha256_file(path) for path in inputs],
        "code": code_hash(sys.argv[0]) if sys.argv[0].endswith(".py") else "",
        "threads": config.compute.torch_threads,
        "precision": [device.mixed_precision, device.torch.type != "cpu" and config.compute.deterministic],
    }
    trainable = build(device)
    rows = optimize(trainable, settings, Checkpoints(sidecar, sha256_json(facts)), device, label)
    if device.leads:
        states = networks(trainable)
        for name, path in outputs.items():
            description = {"label": name, "study": config.study, "steps": settings.steps, "fits": config.fits}
            save_weights(path, states[name], description)
        write_table(make_table(({"step": s, "name": n, "value": v} for s, n, v in rows), HISTORY), history, HISTORY)
        write_provenance(history.with_name("provenance.json"), started, identity, label=label)
    device.barrier()
