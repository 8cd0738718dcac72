"""Tables that pass between stages: a declared schema each, written atomically, byte for byte reproducible."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .files import atomic

if TYPE_CHECKING:
    import pandas as pd

TEXT, INTEGER, NUMBER, FLAG = "str", "int64", "float64", "bool"


@dataclass(frozen=True)
class Schema:
    """Column names and types of a table, in order. Columns not named here are refused unless ``open`` is set."""

    name: str
    columns: Mapping[str, str]
    open: bool = False


RAW_CASES = Schema(
    "raw cases",
    {
        "case_id": TEXT,  # unique within the source, [A-Za-z0-9][A-Za-z0-9_.-]{0,63}
        "patient_id": TEXT,  # cases of one patient never fall on two sides of a split
        "source": TEXT,
        "domain": TEXT,  # scanner or hospital, for out-of-domain tests
        "image": TEXT,  # path of a NIfTI/NRRD/MetaImage file or of a folder with one DICOM series
        "labels": TEXT,  # JSON list of {"path": ..., "map": {"<code or name>": "<structure>"}}, later entries win
        "labeled": FLAG,  # tumors are annotated (a labeled case without tumor voxels is tumor-free)
        "category": TEXT,  # what kind of lesion the case shows, for classification; else empty
        "region": TEXT,  # JSON {"slice": z, "box": [y0, y1, x0, x1]} in voxels of the file, where no mask outlines the lesion
    },
)

ORGAN_LABELS = Schema(
    "organ labels",
    {
        "case_id": TEXT,
        "path": TEXT,  # of the label file that a command made; empty if there is none
        "sha256": TEXT,
        "version": TEXT,  # what the command says of itself
        "reason": TEXT,  # why there is none; empty too if the case's own files name all organs
    },
)

VOLUMES = Schema(
    "volumes",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "domain": TEXT,
        "labeled": FLAG,
        "category": TEXT,
        "image": TEXT,  # <case>.image.b2nd: int16 HU, (z, y, x), working spacing
        "label": TEXT,  # <case>.label.b2nd: uint8, same grid; codes named by `names`
        "native": TEXT,  # <case>.native.b2nd: uint8 label at native resolution, canonical orientation
        "sites": TEXT,  # <case>.sites.npz: voxels of each structure to place patches at
        "names": TEXT,  # JSON {"<code>": "<structure>"} of the label arrays
        "shape": TEXT,  # JSON [z, y, x] of the stored volume
        "spacing": TEXT,  # JSON [z, y, x] in mm of the stored volume
        "native_shape": TEXT,
        "native_spacing": TEXT,
        "crop": TEXT,  # JSON [[z0, z1], [y0, y1], [x0, x1]]: native voxels that the stored volume covers
        "affine": TEXT,  # JSON 4 x 4 of the stored volume, NIfTI convention: (x, y, z) index to RAS mm
        "organs": TEXT,  # comma-separated names of organs present
        "tumors": TEXT,  # comma-separated names of tumor classes present
        "tumor_ml": NUMBER,
        "diameter_mm": NUMBER,  # of the lesion of a region: of the disk of equal area; else NaN
        "voxel_hash": TEXT,  # SHA-256 of the canonical native int16 voxels
        "fingerprint": TEXT,  # coarse, orientation-free content key for near-duplicates
        "notes": TEXT,  # comma-separated codes of repairs made by the reader
    },
)

CASES = Schema("cases", {**VOLUMES.columns, "split": TEXT, "fold": INTEGER, "excluded_because": TEXT})
# Without the fingerprint, tens of kilobytes that nobody asks for any more; `part` is train, validation, test or pool.
FOLD_CASES = Schema(
    "fold cases", {name: kind for name, kind in {**CASES.columns, "part": TEXT}.items() if name != "fingerprint"}
)

QUARANTINE = Schema("quarantine", {"case_id": TEXT, "stage": TEXT, "code": TEXT, "path": TEXT, "reason": TEXT})

OVERLAPS = Schema(
    "overlaps",
    {
        "source": TEXT,
        "other": TEXT,  # the same as `source` if it repeats scans of its own
        "declared": FLAG,  # by the catalog of public sources
        "found": INTEGER,  # pairs of cases that are the same scan
    },
)

DUPLICATES = Schema(
    "duplicates",
    {
        "case_id": TEXT,
        "source": TEXT,
        "outcome": TEXT,  # where the case went: a reason of exclusion, or its split and fold
        "other_case_id": TEXT,  # the same scan
        "other_source": TEXT,
        "other_outcome": TEXT,
        "kind": TEXT,  # exact (same voxels), near (same picture) or part (one shows a part of the other)
        "correlation": NUMBER,  # of what the two were compared by
        "patient_id": TEXT,  # of both: the component
    },
)

HISTORY = Schema("training history", {"step": INTEGER, "name": TEXT, "value": NUMBER})

MANIFEST = Schema(
    "synthetic lesions",
    {
        "lesion_id": TEXT,  # <case_id>.<draw>
        "case_id": TEXT,  # parent
        "patient_id": TEXT,  # the parent's patient: splits stay leak-free
        "source": TEXT,
        "synthesizer": TEXT,
        "draw": INTEGER,
        "variant": INTEGER,  # lesions of a parent with the same number never touch: together they are one painted volume
        "seed": INTEGER,
        "organ": TEXT,  # painted into; of a whole image, its category
        "outcome": TEXT,  # accepted, refused, no_place or empty
        "attempts": INTEGER,
        "score": NUMBER,  # main gate score of the kept or the last attempt; NaN without a gate
        "scores": TEXT,  # JSON of all gate scores
        "reason": TEXT,  # the criterion that a refused draw failed
        "diameter_mm": NUMBER,  # of the ball of equal volume
        "volume_ml": NUMBER,
        "contrast_hu": NUMBER,  # mean change inside the label, also of a refused draw
        "center": TEXT,  # JSON [z, y, x] in the stored volume
        "corner": TEXT,  # JSON [z, y, x]: first voxel of the patch in the stored volume
        "parameters": TEXT,  # JSON of the shape, texture and painter parameters drawn
        "parent_hash": TEXT,  # of the parent's voxels and grid
        "patch": TEXT,  # path of the pack, relative to the manifest; empty unless accepted
        "offset": INTEGER,  # of the lesion's block in the pack, after its header; -1 unless accepted
        "bytes": INTEGER,
        "patch_sha256": TEXT,  # of the block
    },
)

PREDICTIONS = Schema(
    "predictions",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "domain": TEXT,
        "split": TEXT,  # development or external; validation: training side of the fold, to fix thresholds on
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "prediction": TEXT,  # path of a uint8 b2nd array at native resolution, study codes
        "probability": TEXT,  # path of a uint8 b2nd array: probability of any annotated tumor in steps of 1/255; or empty
        "reference": TEXT,  # path of the native label array, codes named by `names`
        "names": TEXT,
        "labeled": FLAG,
        "native_spacing": TEXT,
    },
)

CLASSIFICATIONS = Schema(
    "classifications",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "domain": TEXT,
        "split": TEXT,  # development or external; validation: training side of the fold, to select by
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "category": TEXT,
        "predicted": TEXT,
        "probabilities": TEXT,  # JSON {"<category>": p}
        "diameter_mm": NUMBER,
    },
)

SCORES = Schema(
    "scores",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "split": TEXT,
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "structure": TEXT,
        "metric": TEXT,
        "value": NUMBER,
    },
)

LESIONS = Schema(
    "reference lesions",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "split": TEXT,
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "structure": TEXT,
        "lesion": INTEGER,
        "diameter_mm": NUMBER,
        "size_bin": TEXT,
        "detected": FLAG,
        "iou": NUMBER,
    },
)

CANDIDATES = Schema(
    "lesion candidates",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "split": TEXT,
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "candidate": INTEGER,  # from 1, by confidence
        "confidence": NUMBER,  # greatest probability of its voxels
        "volume_ml": NUMBER,
        "diameter_mm": NUMBER,  # of the ball of equal volume
        "outcome": TEXT,  # hit, false or ignored, by one-to-one matching
        "lesion": INTEGER,  # number of the reference lesion it is matched to; 0 without one
        "iou": NUMBER,  # with that lesion; 0 without one
        "outcome_overlap": TEXT,  # hit, false or ignored, if any overlap were enough
        "touched": TEXT,  # JSON list of the reference lesions it overlaps
    },
)

RELIABILITY = Schema(
    "reliability",
    {
        "case_id": TEXT,
        "patient_id": TEXT,
        "source": TEXT,
        "split": TEXT,
        "fold": INTEGER,
        "arm": TEXT,
        "seed": INTEGER,
        "kind": TEXT,  # what the probabilities are of: voxel, candidate, category or top_category
        "bin": INTEGER,  # of ten equal ones between 0 and 1, from 0
        "count": INTEGER,
        "positives": INTEGER,  # how many came true
        "confidence": NUMBER,  # sum of their probabilities
        "squared_error": NUMBER,  # sum of (probability - outcome)²
    },
)

SUMMARY = Schema(
    "comparisons",
    {
        "metric": TEXT,
        "structure": TEXT,
        "split": TEXT,
        "arm": TEXT,
        "baseline": TEXT,
        "n": INTEGER,  # cases (or lesions) compared
        "patients": INTEGER,
        "trainings": INTEGER,  # fold x seed pairs
        "mean": NUMBER,
        "mean_baseline": NUMBER,
        "difference": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "p": NUMBER,
        "p_adjusted": NUMBER,
        "test": TEXT,
        "family": TEXT,
        "better": TEXT,  # "higher" or "lower": which direction of the metric is good
        # What follows speaks of the trained models: over patients, of differences that are averaged over trainings.
        "effect": NUMBER,  # mean over standard deviation of the patients' differences (d_z, Hedges-corrected)
        "effect_low": NUMBER,
        "effect_high": NUMBER,
        "superiority": NUMBER,  # share of patients on whom the arm is better than the baseline; equal counts half
        "superiority_low": NUMBER,
        "superiority_high": NUMBER,
        "p_trained": NUMBER,  # cross-check: sign-flip permutation test, this trained model
        "p_published": NUMBER,  # FreeTumor's own test: paired t, Bonferroni in the primary family; NaN for secondary rows
        "note": TEXT,  # what the pairing left out, such as "paired on 22 of 24 cases"; empty if nothing
    },
)


def make_table(rows: Iterable[Mapping[str, Any]], schema: Schema) -> "pd.DataFrame":
    """Build a table from rows and bring it to its schema.

    Raises:
        ValueError: if a column is missing or not declared.
    """
    import pandas as pd

    rows = list(rows)
    frame = pd.DataFrame(rows, columns=None if rows else list(schema.columns))
    return conform(frame, schema)


def conform(frame: "pd.DataFrame", schema: Schema) -> "pd.DataFrame":
    """Order and cast the columns of ``frame`` to ``schema``; refuse missing and undeclared ones."""
    missing = [name for name in schema.columns if name not in frame]
    if missing:
        raise ValueError(f"table of {schema.name}: columns missing: {', '.join(missing)}")
    extra = [name for name in frame if name not in schema.columns]
    if extra and not schema.open:
        raise ValueError(f"table of {schema.name}: columns not declared: {', '.join(map(str, extra))}")
    for name, kind in schema.columns.items():
        if kind == FLAG and not frame[name].isin([True, False]).all():  # any text would be cast to True
            raise ValueError(f"table of {schema.name}: column {name}: expected True or False")
    return frame[[*schema.columns, *extra]].astype(dict(schema.columns)).reset_index(drop=True)


def write_table(frame: "pd.DataFrame", path: str | Path, schema: Schema | None = None) -> None:
    """Write a table atomically as Parquet, CSV or TSV, by the suffix of ``path``."""
    path = Path(path)
    if schema is not None:
        frame = conform(frame, schema)
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False, compression="zstd")
        elif path.suffix in {".csv", ".tsv"}:
            frame.to_csv(temporary, index=False, sep="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
        else:
            raise ValueError(f"{path}: a table ends in .parquet, .csv or .tsv")


def read_table(path: str | Path, schema: Schema | None = None) -> "pd.DataFrame":
    """Read a table written by :func:`write_table`; check it against ``schema`` if one is given.

    Raises:
        UserError: if the file is missing or does not fit the schema.
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: table not found")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else _read_text(path, schema)
        return frame if schema is None else conform(frame, schema)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{path}: {error}") from error


def _read_text(path: Path, schema: Schema | None) -> "pd.DataFrame":
    import pandas as pd

    text = {name: str for name, kind in schema.columns.items() if kind == TEXT} if schema else None
    numbers = {name: ["", "nan"] for name, kind in schema.columns.items() if kind == NUMBER} if schema else None
    separator = "\t" if path.suffix == ".tsv" else ","
    return pd.read_csv(path, sep=separator, dtype=text, keep_default_na=False, na_values=numbers)
