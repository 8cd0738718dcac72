"""One raw case, from its files to its arrays in the store and its row of the table."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freetumor.core.files import read_json, sha256_file, sha256_json, write_json
from freetumor.core.labels import is_tumor, tumor_of
from freetumor.preprocessing import geometry
from freetumor.preprocessing.checks import check_hounsfield, clip_padding
from freetumor.preprocessing.host import RULES, Body, find_body
from freetumor.preprocessing.identity import fingerprint, voxel_hash
from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image
from freetumor.preprocessing.recipe import Recipe, numbers, rows_of_numbers
from freetumor.preprocessing.region import prepare_region
from freetumor.preprocessing.sites import find_sites, write_sites
from freetumor.preprocessing.store import write_array
from freetumor.preprocessing.structures import count_codes, parse_labels, read_structures

ARRAYS = {"image": "image.b2nd", "label": "label.b2nd", "native": "native.b2nd", "sites": "sites.npz"}


def prepare_case(raw: Mapping[str, Any], recipe: Recipe, work: Path) -> dict[str, Any]:
    """Prepare a case, unless its valid result is there already.

    The sidecar ``<case_id>.json`` is written last, and holds the row and the hashes of inputs, settings and outputs.

    Args:
        raw: a row of ``core.tables.RAW_CASES``.
        recipe: settings of the source.
        work: folder of the arrays.

    Returns:
        A row of ``core.tables.VOLUMES``.

    Raises:
        CaseRefused: if the case cannot be used.
    """
    sidecar = work / f"{raw['case_id']}.json"
    paths = {kind: work / f"{raw['case_id']}.{suffix}" for kind, suffix in ARRAYS.items()}
    try:
        key = _key(raw, recipe)
        row = _valid_row(sidecar, key, paths)
        if row is None:
            sidecar.unlink(missing_ok=True)
            row = FORMS[recipe.preset.form](raw, recipe, paths)
            outputs = {kind: sha256_file(path) for kind, path in paths.items()}
            write_json(sidecar, {"key": key, "outputs": outputs, "row": row})
    except Exception:
        for path in (sidecar, *paths.values()):  # neither halves of this version nor leftovers of an earlier one
            path.unlink(missing_ok=True)
        raise
    return {**row, **{kind: path.as_posix() for kind, path in paths.items()}}


def prepare_volume(raw: Mapping[str, Any], recipe: Recipe, paths: Mapping[str, Path]) -> dict[str, Any]:
    """Do the work for a volume: read, check, label, crop, resample, write. Returns the row without paths."""
    image = read_image(raw["image"], recipe.checks)
    if min(image.array.shape) < 2:
        raise CaseRefused("dimensions", raw["image"], "a volume is expected, this is a single slice")
    if recipe.checks.hu:
        check_hounsfield(image.array, raw["image"])
    image = clip_padding(image)
    entries = parse_labels(raw["labels"])
    label, notes = read_structures(entries, image, raw["image"], recipe.codes, raw["labeled"], recipe.checks)
    body = find_body(image.array, image.spacing)
    notes += _derive_organs(image, label, body, recipe)
    names = {code: name for name, code in recipe.codes.items()}
    box = geometry.choose_box(body.box(), label, recipe.preset, image.spacing)
    shape = geometry.working_shape(box, image.spacing, recipe.preset.spacing)
    affine = geometry.working_affine(image.affine, box, shape)
    working, rescued = geometry.resample_label(label, box, shape, names)
    image = image.noted(*notes, *(["lesion_rescued"] if rescued else []))
    stored = geometry.resample_image(image.array, box, shape)
    spacing = _spacing(image.spacing, box, shape)
    write_array(paths["image"], stored)
    write_array(paths["label"], working)
    write_array(paths["native"], label)
    write_sites(paths["sites"], find_sites(working, names, raw["case_id"], spacing, stored))
    counts = count_codes(label)
    present = sorted(names[int(code)] for code in np.flatnonzero(counts[1:]) + 1)
    tumors = [name for name in present if is_tumor(name)]
    tumor_voxels = int(counts[[recipe.codes[name] for name in tumors]].sum())
    return {
        **{column: raw[column] for column in ("case_id", "patient_id", "source", "domain", "labeled", "category")},
        "names": json.dumps({str(code): name for code, name in sorted(names.items())}),
        "shape": json.dumps(list(shape)),
        "spacing": numbers(spacing),
        "native_shape": json.dumps(list(label.shape)),
        "native_spacing": numbers(image.spacing),
        "crop": json.dumps([list(side) for side in box]),
        "affine": rows_of_numbers(affine),
        "organs": ",".join(name for name in present if not is_tumor(name)),
        "tumors": ",".join(tumors),
        "tumor_ml": tumor_voxels * float(np.prod(image.spacing)) / 1000,
        "diameter_mm": float("nan"),
        "voxel_hash": voxel_hash(image.array),
        "fingerprint": fingerprint(image.array, body.box(), image.spacing),
        "notes": ",".join(image.notes),
    }


FORMS: dict[str, Callable[[Mapping[str, Any], Recipe, Mapping[str, Path]], dict[str, Any]]] = {
    "volume": prepare_volume,
    "region": prepare_region,
}


def _derive_organs(image: Volume, label: np.ndarray, body: Body, recipe: Recipe) -> list[str]:
    """Fill organs that have a host rule and no voxel into the background of ``label``, in place; return notes."""
    notes = []
    for organ, rule in sorted(recipe.host_rule.items()):
        code = recipe.codes[organ]
        if not (label == code).any():
            tumor = label == recipe.codes.get(tumor_of(organ), 256)
            found = RULES[rule](image.array, body.mask(), tumor, image.spacing)
            label[found & (label == 0)] = code
            notes.append("organ_by_rule")
    return notes


def _spacing(native: tuple[float, ...], box: geometry.Box, shape: tuple[int, ...]) -> list[float]:
    """Spacing of the working grid in mm."""
    return [step * (stop - start) / count for step, (start, stop), count in zip(native, box, shape, strict=True)]


def _key(raw: Mapping[str, Any], recipe: Recipe) -> str:
    """Hash of all that the result depends on, with the content of every input file."""
    inputs = {str(path): _hash_input(path) for path in (raw["image"], *(e["path"] for e in parse_labels(raw["labels"])))}
    settings = [recipe.preset.model_dump(mode="json"), recipe.checks.model_dump(mode="json"), dict(recipe.codes)]
    row = {name: raw[name] for name in sorted(raw)}
    return sha256_json([row, inputs, settings, dict(recipe.host_rule), recipe.outlined, recipe.code])


def _hash_input(path: str | Path) -> str:
    """Content hash of a file (of ``.mhd``: with its neighbors of the same stem) or of all files of a folder."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    elif path.suffix.lower() == ".mhd":
        files = sorted(file for file in path.parent.glob("*") if file.stem == path.stem and file.is_file())
    else:
        files = [path]
    try:
        return hashlib.sha256("".join(sha256_file(file) for file in files).encode()).hexdigest()
    except FileNotFoundError as error:
        raise CaseRefused("file_missing", path, "no such file") from error
    except OSError as error:
        raise CaseRefused("file_unreadable", path, str(error.strerror)) from error


def _valid_row(sidecar: Path, key: str, paths: Mapping[str, Path]) -> dict[str, Any] | None:
    """The row of an earlier run, if its inputs, settings and outputs are unchanged."""
    try:
        record = read_json(sidecar)
        same = record["key"] == key and record["outputs"] == {kind: sha256_file(path) for kind, path in paths.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record["row"] if same else None
