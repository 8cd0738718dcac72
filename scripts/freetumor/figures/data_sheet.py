"""The data sheet of a study's cohort, in Markdown: what was counted in it, and what only its owner can say.

Reference:
    Gebru et al., Datasheets for datasets, Communications of the ACM 64(12), 2021.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from freetumor.core.config import Config, PublicSource, Source
from freetumor.download.public import entry_of_source
from freetumor.figures.answers import count, plain
from freetumor.figures.flow import exclusion_reason, participant_flow, quarantine_reasons
from freetumor.figures.markdown import cell, document, grid
from freetumor.figures.style import readable

if TYPE_CHECKING:
    import pandas as pd

MADE = "made in code by this repository: no patient, no scanner, no annotator"
MADE_LICENSE = "that of the code (Apache-2.0)"
STATED = ("license", "citation", "participants", "acquisition", "annotation", "deidentification")
CATALOG = "as in docs/data.md; its page decides"
UNKNOWN = "not stated; `reporting.data.{}.{}` of the configuration takes it"


def data_sheet(config: Config, cases: "pd.DataFrame", quarantine: "pd.DataFrame", folds: "Mapping[int, pd.DataFrame]") -> str:
    """The data sheet, as Markdown.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        folds: tables of ``core.tables.FOLD_CASES``, by fold.
    """
    flow = participant_flow(cases, quarantine)
    parts = [
        ("Why it was gathered", f"For the study {config.study}: {config.title or 'no title'}."),
        ("What became of the cases", grid(("Step", "Cases"), flow.rows())),
        ("Quarantine", _quarantine(quarantine)),
        ("How the cases were divided", _folds(folds)),
        ("How they were prepared", _prepared(config)),
        *((f"Source {source.name}", _source(config, source.name, cases)) for source in config.sources),
        ("Before you pass it on", PASSING_ON),
    ]
    return document(f"Data sheet of the study {config.study}", parts)


PASSING_ON = (
    "The sources keep their own terms. Outside the painted voxels a scan with painted lesions is still that of its patient. "
    "Labels of a source count only for the structures that it annotates; what nobody annotated is unknown, not absent."
)


def license_of(config: Config, source: str) -> str:
    """The license of a source, as far as it is known."""
    return statement(config, source, "license")


def statement(config: Config, source: str, key: str) -> str:
    """What the configuration says of a source, or else the catalog of public sources; of a phantom, that it was made."""
    given = config.reporting.data.get(source)
    if given and getattr(given, key):
        return getattr(given, key)
    if config.source(source).kind.endswith("phantom"):
        return MADE_LICENSE if key == "license" else MADE
    if known := _from_catalog(config.source(source), key):
        return f"{known}; {CATALOG}"
    return UNKNOWN.format(source, key)


def _from_catalog(source: Source, key: str) -> str:
    """License or citation of a public source, if the catalog tells."""
    known = key in ("license", "citation") and isinstance(source, PublicSource)
    return getattr(entry_of_source(source), key) if known else ""


def _quarantine(quarantine: "pd.DataFrame") -> str:
    reasons = quarantine_reasons(quarantine)
    if reasons.empty:
        return "No case was refused."
    return grid(("Code", "Stage", "Cases"), [(row.code, row.stage, row.cases) for row in reasons.itertuples()])


def _folds(folds: "Mapping[int, pd.DataFrame]") -> str:
    rows = []
    for fold, table in folds.items():
        used = table[table["excluded_because"] == ""]
        for part, here in used.groupby("part", sort=True):
            rows.append((fold, part, len(here), here["patient_id"].nunique()))
    text = "Folds are made of patients; scans with the same voxels count as one patient.\n\n"
    return text + grid(("Fold", "Part", "Cases", "Patients"), rows)


def _prepared(config: Config) -> str:
    preset = config.working
    spacing = " × ".join(f"{value:g}" for value in preset.spacing or ())
    resampled = f"resampled to {spacing} mm (z, y, x)" if spacing else "resampled to the same number of pixels"
    low, high = preset.window
    crop = f"cropped to the {preset.crop}" if spacing else "cut out around each lesion"
    return (
        f"Preset `{config.preset}`, form {preset.form}: {crop}, {resampled}, kept as int16 HU; networks see "
        f"the window {low:g} to {high:g} HU. Masks are scored at native resolution."
    )


def _source(config: Config, name: str, cases: "pd.DataFrame") -> str:
    source = config.source(name)
    here = cases[cases["source"] == name]
    used = here[here["excluded_because"] == ""]
    rows = [
        ("kind", source.kind),
        ("role", source.split),
        ("cases", f"{count(len(here), 'case')} of {count(here['patient_id'].nunique(), 'patient')}"),
        ("used", f"{len(used):,}"),
        *((f"excluded: {reason}", number) for reason, number in _excluded(here).items()),
        ("tumors annotated", f"{int(used['labeled'].sum()):,} cases"),
        *((f"with {readable(kind)}", f"{number:,} cases") for kind, number in _contents(used).items()),
        *_sizes(used),
        *_geometry(used),
        *((f"repaired: {code}", f"{number:,} cases") for code, number in _listed(used["notes"]).items()),
        ("checksum of the voxels", f"`{_checksum(here)}`"),
    ]
    made = source.kind.endswith("phantom") and name not in config.reporting.data
    stated = [("origin", MADE), ("license", MADE_LICENSE)] if made else [(key, statement(config, name, key)) for key in STATED]
    return grid(("Counted", "Value"), rows) + "\n" + grid(("Stated", "By configuration or catalog"), stated)


def _excluded(here: "pd.DataFrame") -> dict[str, int]:
    ids = set(here["case_id"])
    reasons = [exclusion_reason(text, ids) for text in here["excluded_because"].str.strip() if text]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _listed(column: "pd.Series") -> dict[str, int]:
    """How often each entry of comma-separated texts occurs."""
    entries = [entry for text in column for entry in text.split(",") if entry]
    return {entry: entries.count(entry) for entry in sorted(set(entries))}


def _contents(used: "pd.DataFrame") -> dict[str, int]:
    return _listed(used["tumors"]) | used.loc[used["category"] != "", "category"].value_counts().sort_index().to_dict()


def _sizes(used: "pd.DataFrame") -> list[tuple[str, str]]:
    found = []
    for column, label in (("tumor_ml", "tumor volume, mL"), ("diameter_mm", "lesion diameter, mm")):
        values = used.loc[used[column] > 0, column]
        if len(values):
            found.append((label, f"median {plain(values.median())}, {plain(values.min())} to {plain(values.max())}"))
    return found


def _geometry(used: "pd.DataFrame") -> list[tuple[str, str]]:
    """Median and range of the native spacing and size, per axis."""
    found = []
    for column, label in (("native_spacing", "native spacing, mm"), ("native_shape", "native size, voxels")):
        axes = list(zip(*map(json.loads, used.loc[used[column] != "", column]), strict=True))
        ranges = [f"{cell(axis)} {min(values):.4g} to {max(values):.4g}" for axis, values in zip("zyx", axes, strict=False)]
        if ranges:
            found.append((label, "; ".join(ranges)))
    return found


def _checksum(here: "pd.DataFrame") -> str:
    """SHA-256 of the sorted hashes of the voxels: the same for the same scans under any names."""
    return hashlib.sha256("\n".join(sorted(here["voxel_hash"])).encode()).hexdigest()
