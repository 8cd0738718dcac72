"""A worker of its own: paint one stored volume per size class, and print what memory that took.

    python -m benchmarks.worker procedural B canvas.json donor.json folder

prints one line of JSON: ``start_mb`` (imports and weights), ``peak_mb`` (greatest resident memory).
"""

import json
import sys
from pathlib import Path

import torch

from freetumor.synthesis.shards import FoldSynthesizer

from . import library
from .canvases import GRIDS, CanvasFiles
from .measure import peak_mb
from .references.syntumor import SIZES


def main(name: str, volume: str, files: str, donor: str, folder: str) -> None:
    """Paint with synthesizer ``name``; ``files`` and ``donor`` tell where the canvases lie."""
    torch.set_num_threads(1)
    canvas, donors = CanvasFiles.read(Path(files)), [CanvasFiles.read(Path(donor))]
    start, local = None, name not in library.WITH_NETWORKS
    for size in SIZES if local else ["small"]:
        config = library.study(name, GRIDS[volume], size, lesions=4 if local else 1)
        synthesizer = library.build(config, Path(folder), donors)
        start = start or peak_mb()
        library.bank_volume(FoldSynthesizer(config, synthesizer, name, 0), canvas, Path(folder) / "worker.pack")
    print(json.dumps({"start_mb": round(start), "peak_mb": round(peak_mb())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
