"""Painted volumes as DICOM for viewers: a CT series and a segmentation of each."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.files import temporary_name
from freetumor.core.labels import class_names

from .export import Export, export_volumes
from .export_seg import make_segmentation
from .export_series import Series, make_slices
from .export_volume import Item, Volume

SEGMENTATION = "segmentation.dcm"


def export_dicom(config: Config, cases: Path, manifest: Path, output: Path) -> None:
    """Write ``<case>_v<variant>/ct/*.dcm`` and ``<case>_v<variant>/segmentation.dcm`` beside ``output``.

    Args:
        config: the study.
        cases: the fold table.
        manifest: the manifest of a synthesizer.
        output: table of the volumes written (CSV).

    Raises:
        UserError: if the bank holds no accepted lesion.
    """

    def write(folder: Path, item: Item, volume: Volume) -> tuple[str, str]:
        series = Series.of(item, volume, config.working.window)
        with atomic_folder(folder / item.name) as temporary:
            (temporary / "ct").mkdir()
            for number, dataset in enumerate(make_slices(series, volume.image), 1):
                dataset.save_as(temporary / "ct" / f"{number:04d}.dcm", enforce_file_format=True)
            segmentation = make_segmentation(series, volume.label, class_names(config.organs))
            segmentation.save_as(temporary / SEGMENTATION, enforce_file_format=True)
        return f"{item.name}/ct", f"{item.name}/{SEGMENTATION}"

    export_volumes(Export(__file__, config, "DICOM series with segmentations", cases, manifest, output), write)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; on success it takes the place of ``path``, else it is removed."""
    temporary = temporary_name(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for file in temporary.rglob("*"):  # after all are written: many small files are flushed in a few writes
            _flush(file)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
