"""Exports of the bank: whole volumes for other programs and viewers, one at a time, each either complete or absent.

An export is a folder: the volumes, ``exports.csv`` that lists them, and ``README.txt`` that says what they are. A volume whose
parent, lesions, settings and code are unchanged and whose files are intact is not written again.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from freetumor.core.code import code_hash
from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import read_json, sha256_file, sha256_json, write_json, write_text
from freetumor.core.progress import Progress
from freetumor.core.tables import FLAG, FOLD_CASES, INTEGER, TEXT, Schema, make_table, read_table, write_table
from freetumor.synthesizer.cases import open_cases

from .bank import accepted_rows
from .export_volume import Item, Parent, Volume, by_parent, make_volume, plan_items

EXPORTS = Schema(
    "exports",
    {
        "volume": TEXT,  # unique name
        "case_id": TEXT,  # of the case, or of the parent of a painted volume
        "part": TEXT,  # of the parent in the fold: train, validation or pool
        "synthetic": FLAG,  # lesions are painted in
        "variant": INTEGER,  # number of the painted version; -1 for a case as it is
        "image": TEXT,  # path relative to the table
        "label": TEXT,
        "lesions": TEXT,  # comma-separated ids of the painted lesions
        "unannotated": TEXT,  # comma-separated classes that nobody outlined in the parent: background there means nothing
    },
)
SIDECARS = ".volumes"  # one JSON per finished volume: what it depends on, and the hashes of its files
NOTE = """What this is

{kind}, exported from the study '{study}', synthesizer '{synthesizer}'.
{painted} volumes carry {lesions} synthetic lesions; {real} volumes are real cases as they are.
The column 'synthetic' of exports.csv says which are which, 'lesions' names the lesions as the manifest of the bank does.

The lesions of synthetic volumes were made by a computer program. No patient ever had them. Such volumes are for research on
methods: not for diagnosis, not for statistics of disease, and not to be mixed with clinical images.

Identity

Parents are named by the case ids of the study{identity}, and by nothing else. No header, date,
name or other tag of the source files is copied. Ids may derive from the names of the source's files: if those tell who
somebody is, rename them before preprocessing, or set `identity: keyed` on the source. Apart from the painted lesions
the voxels are those of the parents, faces and other recognizable anatomy included, and are under the terms of their
source.

Grid

Volumes are on the working grid of the study: cropped to the body, resampled to {spacing} mm (z, y, x),
whole Hounsfield units. They are not at the resolution of the source files.
"""

Write = Callable[[Path, Item, Volume], tuple[str, str]]


@dataclass(frozen=True)
class Export:
    """What is exported, and where to.

    Attributes:
        module: file of the module that writes volumes; when its code changes, they are written again.
        config: the study.
        kind: what the volumes are, for the note and the progress.
        cases: the fold table.
        manifest: the manifest of a synthesizer.
        output: table of the volumes written.
        folder: where volumes are written to, relative to the table.
        real: labeled cases of the training side join.
        identity: what else than case ids tells about parents, for the note.
    """

    module: str
    config: Config
    kind: str
    cases: Path
    manifest: Path
    output: Path
    folder: str = "."
    real: bool = False
    identity: str = ""

    @property
    def root(self) -> Path:
        """Folder of the volumes."""
        return self.output.parent / self.folder


def export_volumes(export: Export, write: Write, finish: Callable[[pd.DataFrame], None] | None = None) -> None:
    """Write every volume of an export, then its note, and last its table.

    Args:
        export: what and where to.
        write: writes a volume into a folder; returns the paths of image and label (files or folders), relative to it.
        finish: writes what describes all volumes, given the table.

    Raises:
        UserError: if the bank holds no accepted lesion.
    """
    cases = read_table(export.cases, FOLD_CASES)
    rows = accepted_rows(export.manifest, open_cases(cases, export.config, "train", "pool"))
    if not len(rows):
        raise UserError(f"{export.manifest}: no accepted lesion on a canvas of {export.cases}")
    table = cases.set_index("case_id", drop=False)
    items = plan_items(export.config, table, rows, export.real)
    _remove_others(export, items)
    code = code_hash(export.module)
    progress = Progress(f"export {export.kind}", len(items), "volume")
    records = []
    for case_id, group in by_parent(items):
        parent = Parent(table.loc[case_id], export.config)
        for item in group:
            records.append(_write_item(export, write, item, parent, code))
            progress.advance()
    written = make_table(records, EXPORTS)
    if finish is not None:
        finish(written)
    write_text(export.root / "README.txt", _note(export, written, str(rows["synthesizer"].iloc[0])))
    write_table(written, export.output, EXPORTS)


def _write_item(export: Export, write: Write, item: Item, parent: Parent, code: str) -> dict:
    """Write a volume unless it is there already; return its row."""
    painted = item.lesions[["lesion_id", "patch_sha256"]].to_numpy().tolist()
    affine = parent.affine.tolist()
    key = sha256_json([code, export.kind, item.name, export.config.organs, parent.content, affine, painted])
    sidecar = _sidecar(export, item.name)
    record = _record(sidecar)
    with contextlib.suppress(OSError):  # a file is missing
        if record["key"] == key and record["files"] == _hashes(export, *record["paths"]):
            return record["row"]
    sidecar.unlink(missing_ok=True)
    paths = write(export.root, item, make_volume(export.config, parent, export.manifest, item))
    image, label = ((Path(export.folder) / path).as_posix() for path in paths)
    row = {
        "volume": item.name,
        "case_id": item.case_id,
        "part": item.part,
        "synthetic": item.synthetic,
        "variant": item.variant,
        "image": image,
        "label": label,
        "lesions": ",".join(item.lesion_ids),
        "unannotated": ",".join(parent.unannotated),
    }
    write_json(sidecar, {"key": key, "paths": paths, "files": _hashes(export, *paths), "row": row})
    return row


def _sidecar(export: Export, name: str) -> Path:
    return export.output.parent / SIDECARS / f"{name}.json"


def _record(sidecar: Path) -> dict:
    """What a sidecar says; of a missing or damaged one, nothing."""
    try:
        record = read_json(sidecar)
        return {name: record[name] for name in ("key", "paths", "files", "row")}
    except (OSError, ValueError, KeyError, TypeError):
        return {"key": "", "paths": [], "files": {}, "row": {}}


def _hashes(export: Export, *paths: str) -> dict[str, str]:
    """Content hash of every file at ``paths``, folders included."""
    found = [file for path in paths for file in _files(export.root / path)]
    return {file.relative_to(export.root).as_posix(): sha256_file(file) for file in found}


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _remove_others(export: Export, items: list[Item]) -> None:
    """Remove the volumes of an earlier export that are not among the items: programs read whole folders."""
    names = {item.name for item in items}
    for sidecar in (export.output.parent / SIDECARS).glob("*.json"):
        if sidecar.name.removesuffix(".json") not in names:
            for file in _record(sidecar)["files"]:
                (export.root / file).unlink(missing_ok=True)
            sidecar.unlink()


def _note(export: Export, written: pd.DataFrame, synthesizer: str) -> str:
    painted = written[written["synthetic"]]
    return NOTE.format(
        kind=export.kind,
        study=export.config.study,
        synthesizer=synthesizer,
        painted=len(painted),
        lesions=int(painted["lesions"].str.split(",").str.len().sum()),
        real=int((~written["synthetic"]).sum()),
        identity=export.identity,
        spacing=" x ".join(f"{length:g}" for length in export.config.working.spacing),
    )
