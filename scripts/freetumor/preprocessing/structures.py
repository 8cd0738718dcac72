"""The label array of a case: label files translated by their maps and combined on the grid of the image."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freetumor.core.arrays import bounding_box
from freetumor.core.config import Checks
from freetumor.core.errors import UserError
from freetumor.core.labels import BACKGROUND, is_tumor, organ_of
from freetumor.preprocessing.checks import count_levels
from freetumor.preprocessing.dicom_labels import is_dicom, read_dicom_label
from freetumor.preprocessing.orientation import Volume, corners
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_label_file

SAME_GRID = 1e-3  # mm between the corners of image and label
ROUNDED_GRID = 0.01  # voxels between the corners that a rounded header explains
OTHERS = "*"  # key of a map for all values or segments that it does not name
RESERVED = ("lesions", "foreground")  # names of other entries beside the structures in the sites file
MOST_LEVELS = 2**16  # between the least and the greatest value of a label file
CONTACT = 3  # voxels between a tumor and its organ that still count as contact


def parse_labels(text: str) -> list[dict[str, Any]]:
    """The column ``labels`` of a raw case: a list of ``{"path": ..., "map": {...}}``."""
    return [{"path": entry["path"], "map": dict(entry["map"])} for entry in json.loads(text)]


def structure_codes(labels: Iterable[str], derived: Iterable[str] = ()) -> dict[str, int]:
    """Codes of all structures of a source: 1, 2, ... in the sorted order of their names.

    Args:
        labels: the column ``labels`` of all cases of the source, so that every shard finds the same codes.
        derived: organs that a host rule makes.

    Raises:
        UserError: if there are more than 255 structures, or one has a reserved name.
    """
    names = set(derived)
    for text in sorted(set(labels)):
        names.update(name for entry in parse_labels(text) for name in entry["map"].values())
    names.discard(BACKGROUND)
    if reserved := names.intersection(RESERVED):
        raise UserError(f"label_map: '{min(reserved)}' is a reserved name; call the structure otherwise")
    if len(names) > 255:
        raise UserError(f"label_map: {len(names)} structures, at most 255 are possible")
    return {name: code for code, name in enumerate(sorted(names), 1)}


def read_structures(
    entries: list[dict[str, Any]], image: Volume, image_path: object, codes: Mapping[str, int], annotated: bool, checks: Checks
) -> tuple[np.ndarray, list[str]]:
    """Read and combine the label files of a case.

    Later files win over earlier ones, and tumors over organs, whatever the order.

    Args:
        entries: as from :func:`parse_labels`.
        image: the canonical image.
        image_path: its file, for reports.
        codes: code of each structure.
        annotated: whether tumors are annotated; if not, a tumor counts as its organ.
        checks: limits of the reader.

    Returns:
        ``uint8`` codes, (z, y, x), and the codes of notes.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    label = np.zeros(image.array.shape, np.uint8)
    tumors = np.zeros(256, bool)
    tumors[[code for name, code in codes.items() if is_tumor(name)]] = True
    notes: list[str] = []
    for entry in entries:
        path = Path(entry["path"])
        wanted = {str(key): (name if annotated else organ_of(name)) for key, name in entry["map"].items()}
        layer, found = _read_layer(path, image, image_path, wanted, codes, checks)
        notes += found
        if not label.any():
            label = layer
        else:
            np.copyto(label, layer, where=(layer > 0) & (tumors[layer] | ~tumors[label]))
    wholes = [name for entry in entries for name in entry["map"].values() if name != BACKGROUND and not is_tumor(name)]
    if wholes and not label.any():
        raise CaseRefused("label_empty", entries[0]["path"], f"no voxel of {', '.join(sorted(set(wholes)))}")
    if _tumor_apart(label, codes):
        notes.append("tumor_apart")
    return label, notes


def _read_layer(
    path: Path, image: Volume, image_path: object, wanted: dict[str, str], codes: Mapping[str, int], checks: Checks
) -> tuple[np.ndarray, list[str]]:
    """The codes that one file contributes, and notes."""
    if not path.exists():
        raise CaseRefused("file_missing", path, "no such label file")
    if path.is_file() and (path.suffix.lower() == ".dcm" or is_dicom(path)):
        return read_dicom_label(path, image, wanted, codes)
    labels = read_label_file(path, checks)
    rounded = check_same_grid(labels, path, image, image_path)
    return _translate(labels.array, wanted, codes, path), [*labels.notes, *(["label_affine_rounded"] if rounded else [])]


def check_same_grid(label: Volume, label_path: object, image: Volume, image_path: object) -> bool:
    """Refuse a label that lies on another grid than its image.

    Returns:
        Whether the two affines differ by a rounding error.
    """
    if label.array.shape != image.array.shape:
        shapes = f"{label.array.shape} and {image.array.shape}"
        raise CaseRefused("label_grid", label_path, f"shapes {shapes} (z, y, x) differ from those of {image_path}")
    apart = corners(label.array.shape, label.affine) - corners(image.array.shape, image.affine)
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > max(SAME_GRID, ROUNDED_GRID * min(image.spacing)):
        text = f"corners lie {distance:.4g} mm from those of {image_path}: spacing, orientation or origin differ"
        raise CaseRefused("label_grid", label_path, text)
    return distance > SAME_GRID


def _translate(values: np.ndarray, wanted: Mapping[str, str], codes: Mapping[str, int], path: Path) -> np.ndarray:
    """From a file's integers to codes; 0 is background unless the map says otherwise."""
    box: tuple[slice, ...] | None = (slice(None),) * 3
    if wanted.get("0", BACKGROUND) == BACKGROUND:  # then most of a label need not be looked at
        box = bounding_box(values)
        if box is None:
            return np.zeros(values.shape, np.uint8)
    inner = values[box]
    low, high = int(inner.min()), int(inner.max())
    if high - low < MOST_LEVELS:  # counting is far faster than sorting
        places = inner if low == 0 else np.subtract(inner, low, dtype=np.int32)
        present = np.flatnonzero(count_levels(places, high - low + 1)) + low
        table = np.zeros(high - low + 1, np.uint8)
        slots = present - low
    else:
        present, places = np.unique(inner, return_inverse=True)
        table = np.zeros(len(present), np.uint8)
        slots = np.arange(len(present))
    for slot, value in zip(slots.tolist(), present.tolist(), strict=True):
        name = wanted.get(str(value), BACKGROUND if value == 0 else wanted.get(OTHERS))
        if name is None:
            text = f"value {value} is not a key of the label map (known are {', '.join(sorted(wanted))})"
            raise CaseRefused("label_unknown_value", path, text)
        table[slot] = codes.get(name, 0)
    if values.dtype == np.uint8 and np.array_equal(table[slots], present):
        return np.require(values, requirements="W")
    label = np.zeros(values.shape, np.uint8)
    label[box] = table[places].reshape(inner.shape)
    return label


def count_codes(label: np.ndarray) -> np.ndarray:
    """Voxels of each code of a label, shape (256,)."""
    box = bounding_box(label)
    inner = label[box] if box else label[:0]
    counts = count_levels(inner, 256)
    counts[0] += label.size - inner.size
    return counts


def _tumor_apart(label: np.ndarray, codes: Mapping[str, int]) -> bool:
    """Whether some tumor has no contact with its organ, although that organ is labeled."""
    labeled = bounding_box(label)
    if labeled is None:
        return False
    inner = label[labeled]
    for name, code in codes.items():
        organ = codes.get(organ_of(name))
        box = bounding_box(inner == code) if is_tumor(name) and organ is not None else None
        if box is None:
            continue
        wide = tuple(slice(max(0, side.start - CONTACT), side.stop + CONTACT) for side in box)
        if not (inner[wide] == organ).any() and (inner == organ).any():
            return True
    return False
