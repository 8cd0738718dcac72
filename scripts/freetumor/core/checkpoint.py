"""Resumable checkpoints in a sidecar folder, guarded by a fingerprint and a checksum.

The folder is not a declared output of a rule, because Snakemake deletes those of a failed job. The last two checkpoints are
kept; a damaged one is passed over with a warning. A checkpoint of other code, settings or data is never continued.
"""

import io
import sys
from pathlib import Path
from typing import Any

import torch

from .files import atomic, read_json, sha256_file, write_json

KEPT = 2


class Checkpoints:
    """Checkpoints of one training run.

    Args:
        folder: the sidecar folder.
        fingerprint: hash of code, settings and data of this run.
    """

    def __init__(self, folder: str | Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = Path(folder), fingerprint

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write ``state`` (tensors, numbers, text, lists and dictionaries) as the checkpoint of ``step``."""
        path = self.folder / f"step{step:08d}.pt"
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
        # The record is written after the file: a checkpoint without a record is incomplete.
        write_json(path.with_suffix(".json"), {"step": step, "sha256": sha256_file(path), "fingerprint": self.fingerprint})
        for old in self._records()[:-KEPT]:
            self._remove(old)

    def load(self) -> dict[str, Any] | None:
        """The newest sound checkpoint of this run, or None."""
        for record in reversed(self._records()):
            path = record.with_suffix(".pt")
            try:
                facts = read_json(record)
                if facts["fingerprint"] != self.fingerprint:
                    raise ValueError("it belongs to other code, settings or data")
                if sha256_file(path) != facts["sha256"]:
                    raise ValueError("checksum differs")
                return torch.load(path, weights_only=True, map_location="cpu")
            except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
                print(f"warning: {path}: checkpoint passed over ({error})", file=sys.stderr)
                self._remove(record)
        return None

    def clear(self) -> None:
        """Remove all checkpoints."""
        for record in self._records():
            self._remove(record)

    def _records(self) -> list[Path]:
        return sorted(self.folder.glob("step*.json"))

    @staticmethod
    def _remove(record: Path) -> None:
        record.unlink(missing_ok=True)
        record.with_suffix(".pt").unlink(missing_ok=True)
