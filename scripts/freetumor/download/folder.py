"""Index a user's own files: which images there are, which label files belong to them, who is the patient.

Nothing is read or copied but file names and, if the user gives one, a CSV. This module imports nothing heavy, because the
Snakefile checks sources with it.
"""

import csv
import difflib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freetumor.core.config import FolderSource, RoiFolderSource
from freetumor.core.errors import UserError

SUFFIXES = re.compile(r"(\.nii|\.nrrd|\.nhdr|\.mha|\.mhd|\.dcm|\.hdr|\.img)?(\.gz|\.bz2)?$", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")  # ${NAME:-default}
WILDCARD = re.compile(r"(\*\*/|\*+|\?|\[[^\]]+\])")
LONGEST_ID = 64

Key = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A file or folder that a pattern matched, and the texts that its ``*`` stood for."""

    path: Path
    relative: str
    texts: Key


@dataclass(frozen=True)
class Pattern:
    """A glob pattern below a root folder, whose ``*`` are remembered.

    Attributes:
        where: configuration key, for error messages.
        root: folder that the pattern is relative to.
        text: the pattern, with forward slashes; ``**/`` stands for any number of folders.
    """

    where: str
    root: Path
    text: str

    @property
    def regex(self) -> re.Pattern[str]:
        """Matches a path relative to the root, with one group per ``*`` or ``**/``."""
        pieces = []
        for piece in WILDCARD.split(self.text):
            if piece == "**/":
                pieces.append(r"((?:[^/]+/)*)")
            elif piece.startswith("*"):
                pieces.append(r"([^/]*)")
            elif piece == "?":
                pieces.append(r"[^/]")
            elif piece.startswith("[") and piece.endswith("]"):
                pieces.append(piece.replace("[!", "[^", 1))
            else:
                pieces.append(re.escape(piece))
        return re.compile("".join(pieces))

    @property
    def stars(self) -> int:
        """Number of texts that are remembered."""
        return self.regex.groups

    def find(self) -> Iterator[Found]:
        """Everything that matches, except hidden files, in the order of the file system."""
        regex = self.regex
        try:
            for path in self.root.glob(self.text):
                relative = path.relative_to(self.root).as_posix()
                match = regex.fullmatch(relative)
                if match and not path.name.startswith("."):
                    yield Found(path, relative, tuple(text.strip("/") for text in match.groups()))
        except (ValueError, NotImplementedError) as error:
            raise UserError(f"{self.where}: '{self.text}' is not a glob pattern ({error})") from error

    def must_match(self, expected: str) -> None:
        """Raise a :class:`UserError` if nothing matches."""
        if next(self.find(), None) is None:
            raise UserError(f"{self.where}: nothing in {self.root} matches '{self.text}'; expected {expected}")


def check_source(source: FolderSource) -> None:
    """Check that the root, the images and the label files of a source exist, by their names alone.

    Raises:
        UserError: naming the key and what was expected.
    """
    root = root_of(source)
    if _is_table(source):
        _read_rows(source, root)
        return
    _pattern(source, root, "images", source.images).must_match("image files or folders with one DICOM series each")
    for where, text, _ in _label_sets(source):
        _pattern(source, root, where, text).must_match("label files")


def check_structures(source: FolderSource, organs: Sequence[str]) -> None:
    """Check what the label maps name.

    Structures that the study does not use are allowed; near misses of those it uses are taken for typing errors.

    Raises:
        UserError: naming the key, the value and what was probably meant.
    """
    from freetumor.core.labels import STRUCTURE_NAME, class_names

    known = class_names(organs)[1:]
    for where, mapping in _label_maps(source):
        key = f"sources.{source.name}.{where}"
        if not mapping:
            raise UserError(f"{key}: expected the numbers in the label files and what they mean, for example 1: {known[0]}")
        for code, name in mapping.items():
            if not STRUCTURE_NAME.fullmatch(str(name)):
                raise UserError(
                    f"{key}.{code}: '{name}' is not the name of a structure; expected lower-case letters, digits and _"
                )
            near = [] if name in known else difflib.get_close_matches(name, known, 1, cutoff=0.85)
            if near:
                raise UserError(f"{key}.{code}: '{name}' is not a structure of this study; did you mean '{near[0]}'?")


def index_folder(source: FolderSource) -> list[dict[str, Any]]:
    """List the cases of a folder source.

    Returns:
        Rows of the table of raw cases, sorted by case id.

    Raises:
        UserError: if the files are not what the configuration says, or two images get the same id.
    """
    root = root_of(source)
    rows = _rows_from_table(source, root) if _is_table(source) else _rows_from_patterns(source, root)
    rows.sort(key=lambda row: row["case_id"])
    for first, second in itertools.pairwise(rows):
        if first["case_id"] == second["case_id"]:
            raise UserError(
                f"sources.{source.name}.images: {first['image']} and {second['image']} both give the case id "
                f"'{first['case_id']}'; rename one, or list the images in a CSV with a column case_id"
            )
    return rows


def case_id_of(text: str) -> str:
    """Turn a file name without suffix, or the texts of a pattern, into a case id.

    Characters that an id cannot have become ``-``; what is too long is cut and ends in a hash.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip("_.-").rstrip("-") or "case"
    if len(name) > LONGEST_ID:
        name = f"{name[: LONGEST_ID - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def _rows_from_patterns(source: FolderSource, root: Path) -> list[dict[str, Any]]:
    images = _pattern(source, root, "images", source.images)
    images.must_match("image files or folders with one DICOM series each")
    found = sorted(images.find(), key=lambda item: item.relative)
    labels = [
        (_match_labels(_pattern(source, root, where, text), images, found), mapping)
        for where, text, mapping in _label_sets(source)
    ]
    # Names are unique within one folder only: where folders vary, they are part of the id.
    folders_vary = WILDCARD.search(images.text.rpartition("/")[0]) is not None
    rows = []
    for item in found:
        stem = "-".join(filter(None, item.texts)) if folders_vary else SUFFIXES.sub("", item.path.name)
        case_id = case_id_of(stem)
        present = [(files[item.texts], mapping) for files, mapping in labels if item.texts in files]
        rows.append(_row(source, case_id, _patient(source, case_id, item.relative), item.path, present))
    return rows


def _rows_from_table(source: FolderSource, root: Path) -> list[dict[str, Any]]:
    rows = []
    for line in _read_rows(source, root):
        image = root / expand(line["image"])
        case_id = case_id_of(line.get("case_id") or SUFFIXES.sub("", image.name))
        patient = line.get("patient_id") or _patient(source, case_id, line["image"])
        if line["label"] and not source.label_map:
            raise UserError(f"sources.{source.name}.label_map: expected what the numbers in {line['label']} mean")
        present = [(root / expand(line["label"]), source.label_map)] if line["label"] else []
        rows.append(_row(source, case_id, patient, image, present))
    return rows


def _row(
    source: FolderSource,
    case_id: str,
    patient: str,
    image: Path,
    labels: Sequence[tuple[Path, Mapping[int | str, str]]],
) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "patient_id": patient,
        "source": source.name,
        "domain": source.domain,
        "image": image.as_posix(),
        "labels": json.dumps(
            [{"path": path.as_posix(), "map": {str(code): name for code, name in names.items()}} for path, names in labels]
        ),
        "labeled": _tumors_annotated(source, [names for _, names in labels]),
        "category": "",
        "region": "",
    }


def _tumors_annotated(source: FolderSource, present: Sequence[Mapping[int | str, str]]) -> bool:
    """Whether a case's label files cover its tumors.

    If the source has label files for tumors, the case must have one of them; organ masks alone say nothing about tumors.
    """
    from freetumor.core.labels import is_tumor

    if not source.tumors_annotated or not present:
        return False
    maps = [source.label_map, *(extra.label_map for extra in source.extra_labels)]
    tumor_maps = [names for names in maps if any(is_tumor(name) for name in names.values())]
    return not tumor_maps or any(names in tumor_maps for names in present)


def _label_sets(source: FolderSource) -> list[tuple[str, str, Mapping[int | str, str]]]:
    """All sets of label files: configuration key, pattern, meaning of the codes."""
    sets = [] if source.labels is None else [("labels", source.labels, source.label_map)]
    extras = enumerate(source.extra_labels)
    return sets + [(f"extra_labels[{index}].files", extra.files, extra.label_map) for index, extra in extras]


def _label_maps(source: FolderSource) -> list[tuple[str, Mapping[int | str, str]]]:
    """All label maps that label files will be read with, by configuration key."""
    used = source.labels is not None or (_is_table(source) and source.label_map)
    maps = [("label_map", source.label_map)] if used else []
    maps += [(f"extra_labels[{index}].label_map", extra.label_map) for index, extra in enumerate(source.extra_labels)]
    return maps + ([("organ_labels.label_map", source.organ_labels.label_map)] if source.organ_labels else [])


def _match_labels(labels: Pattern, images: Pattern, found: Sequence[Found]) -> dict[Key, Path]:
    """Label file by the texts of the image's pattern."""
    labels.must_match("label files")
    if images.stars != labels.stars and images.stars != 1:
        raise UserError(
            f"{labels.where}: '{labels.text}' has {labels.stars} *, but images has {images.stars}; each * of the labels "
            "stands for the same text as in images"
        )
    files: dict[Key, Path] = {}
    for item in sorted(labels.find(), key=lambda item: item.relative):
        texts = item.texts
        if images.stars == 1:  # then every * of the labels stands for that one text
            if len(set(texts)) != 1:
                continue
            texts = texts[:1]
        if texts in files:
            raise UserError(f"{labels.where}: {files[texts]} and {item.path} belong to the same image; expected one file")
        files[texts] = item.path
    if not any(item.texts in files for item in found):
        raise UserError(
            f"{labels.where}: no file that matches '{labels.text}' belongs to an image; expected, for {found[0].relative}, "
            f"a label file with '{'/'.join(found[0].texts)}' in place of *"
        )
    return files


def _patient(source: FolderSource, case_id: str, relative: str) -> str:
    """The patient of a file: the first group of the expression, in the file's name or else in its path below the root."""
    if source.patient is None:
        return case_id
    where = f"sources.{source.name}.patient"
    try:
        expression = re.compile(source.patient)
    except re.error as error:
        raise UserError(f"{where}: '{source.patient}' is not a regular expression ({error})") from error
    if expression.groups < 1:
        raise UserError(f"{where}: '{source.patient}' has no group; put the patient's part in parentheses")
    match = expression.search(relative.rpartition("/")[2]) or expression.search(relative)
    if match is None or not match.group(1):
        raise UserError(f"{where}: '{source.patient}' finds no patient in {relative}")
    return match.group(1)


def _is_table(source: FolderSource) -> bool:
    return source.images.lower().endswith(".csv")


def _read_rows(source: FolderSource, root: Path) -> list[dict[str, str]]:
    path = root / expand(source.images)
    where = f"sources.{source.name}.images"
    if source.labels is not None or source.extra_labels:
        raise UserError(f"{where}: with a CSV, label files are named in its column label; remove labels and extra_labels")
    if not path.is_file():
        raise UserError(f"{where}: {path} not found; expected a CSV with the columns image and label")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in ("image", "label") if name not in (reader.fieldnames or [])]
        if missing:
            raise UserError(f"{path}: column {' and '.join(missing)} missing; expected image, label, [case_id], [patient_id]")
        rows = [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in reader]
    rows = [row for row in rows if row["image"]]
    if not rows:
        raise UserError(f"{path}: lists no image")
    return rows


def expand(text: str) -> str:
    """Expand ``~``, ``$NAME``, ``${NAME}`` and, as a shell does, ``${NAME:-value if unset or empty}``."""
    text = VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[2], text)
    return os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111 - pathlib expands no variables


def root_of(source: FolderSource | RoiFolderSource) -> Path:
    """The folder that the paths of a source are relative to.

    Raises:
        UserError: if it does not exist.
    """
    root = Path(expand(source.root))
    if not root.is_dir():
        variable = re.search(r"\$\{?(\w+)", source.root)
        hint = f"; is the variable set? (export {variable[1]}=/folder/of/the/data)" if variable else ""
        raise UserError(f"sources.{source.name}.root: {root} is not a folder{hint}")
    return root


def _pattern(source: FolderSource, root: Path, where: str, text: str) -> Pattern:
    text = expand(text)
    if Path(text).is_absolute():
        root = Path(Path(text).anchor)
        text = Path(text).relative_to(root).as_posix()
    return Pattern(f"sources.{source.name}.{where}", root, text.removeprefix("./"))
