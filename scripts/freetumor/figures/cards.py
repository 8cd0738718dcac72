"""A model card per trained network, in Markdown, from the configuration, the provenance and the tables of a study.

Reference:
    Mitchell et al., Model cards for model reporting, FAT* 2019.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_file, write_text
from freetumor.core.tables import (
    CASES,
    FOLD_CASES,
    HISTORY,
    INTEGER,
    QUARANTINE,
    SUMMARY,
    TEXT,
    Schema,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.arms import ARMS
from freetumor.evaluation.comparisons import PRIMARY
from freetumor.evaluation.realism_tables import REALISM
from freetumor.evaluation.tasks import TASKS
from freetumor.figures.answers import cautions, count, interval, p_value, percent, plain, signed
from freetumor.figures.data_sheet import data_sheet, license_of
from freetumor.figures.markdown import bullets, document, grid
from freetumor.figures.report_provenance import lasting_facts
from freetumor.figures.style import SPLITS, metric_name, readable, structure_name

if TYPE_CHECKING:
    import pandas as pd

SEGMENTER, GENERATOR, RECOGNIZER = "segmenter", "synthesizer", "recognizer"
PURPOSE = {
    SEGMENTER: "judges painted tumors: it teaches the generators and decides which lesions are kept",
    GENERATOR: "paints tumors into the organs of CT scans, or makes images of lesions",
    RECOGNIZER: "finds or names lesions: it is what the study compares",
}
DATA_SHEET, INDEX = "data_sheet.md", "model_cards.csv"
CARDS = Schema(
    "model cards",
    {
        "kind": TEXT,
        "name": TEXT,
        "card": TEXT,  # file beside this one
        "weights": TEXT,  # file below the study's folder
        "numbers": INTEGER,  # that the file holds
        "steps": INTEGER,
        "bytes": INTEGER,
        "sha256": TEXT,
    },
)


@dataclass(frozen=True)
class Facts:
    """The tables that the cards quote from."""

    config: Config
    folds: "dict[int, pd.DataFrame]"
    arms: "pd.DataFrame"
    summary: "pd.DataFrame"
    realism: "pd.DataFrame | None"


def build_cards(
    config: Config,
    cases: str | Path,
    quarantine: str | Path,
    folds: Sequence[str | Path],
    arms: str | Path,
    summary: str | Path,
    weights: Sequence[str | Path],
    output: str | Path,
    realism: str | Path | None = None,
) -> list[Path]:
    """Write ``model_card_<kind>[_<name>].md`` per trained network, ``model_cards.csv`` and ``data_sheet.md``.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        folds: tables of ``core.tables.FOLD_CASES``, one per fold that is run, in order.
        arms: table of means per arm.
        summary: table of ``core.tables.SUMMARY``.
        weights: all trained weights, where the workflow puts them, with provenance and history beside.
        output: folder of the cards.
        realism: table of the realism of painted lesions, if the study has one.

    Returns:
        The files.

    Raises:
        UserError: if a path is not that of weights of the workflow.
    """
    tables = {fold: read_table(path, FOLD_CASES) for fold, path in zip(config.folds, folds, strict=True)}
    found = read_table(realism, REALISM) if realism is not None else None
    facts = Facts(config, tables, read_table(arms, ARMS), read_table(summary, SUMMARY), found)
    rows, texts = [], {}
    for (kind, name), files in group_weights(weights).items():
        card = f"model_card_{'_'.join(filter(None, (kind, name)))}.md"
        listed = make_table([{"kind": kind, "name": name, "card": card, **describe_weights(path)} for path in files], CARDS)
        texts[card] = model_card(facts, kind, name, files, listed)
        rows += listed.to_dict("records")
    sheet = data_sheet(config, read_table(cases, CASES), read_table(quarantine, QUARANTINE), tables)
    for card, text in (texts | {DATA_SHEET: sheet}).items():
        write_text(Path(output) / card, text)
    write_table(make_table(rows, CARDS), Path(output) / INDEX, CARDS)
    return [Path(output) / name for name in (*texts, DATA_SHEET, INDEX)]


def group_weights(paths: Sequence[str | Path]) -> dict[tuple[str, str], list[Path]]:
    """Weights by network: ``(segmenter, "")``, ``(synthesizer, <name>)`` or ``(recognizer, <arm>)``, in the order given."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in map(Path, paths):
        folders = path.parts[:-1]
        if len(folders) >= 2 and folders[-2] == "synthesizer":
            key = (SEGMENTER, "") if folders[-1] == "segmenter" else (GENERATOR, folders[-1])
        elif len(folders) >= 3 and folders[-3] == "recognition":
            key = (RECOGNIZER, folders[-2])
        else:
            raise UserError(f"{path}: expected a folder fold<k>/synthesizer/<name> or fold<k>/recognition/<arm>/seed<s>")
        groups.setdefault(key, []).append(path)
    return groups


def model_card(facts: Facts, kind: str, name: str, files: Sequence[Path], listed: "pd.DataFrame") -> str:
    """The card of a network, as Markdown.

    Args:
        facts: the tables.
        kind: segmenter, synthesizer or recognizer.
        name: of the synthesizer or arm; empty for the segmenter.
        files: its weights, one per training.
        listed: their rows of :data:`CARDS`.
    """
    config = facts.config
    fits = ", ".join(f"{readable(key)} {value}" for key, value in config.fits.items() if value)
    parts = [
        ("What it is", _what(config, kind, name, files) + f"\n\nIt fits: {fits}."),
        ("Intended use", config.reporting.intended_use),
        ("Training data", _training_data(facts)),
        ("How it was trained", _training(config, kind, name)),
        ("Measured", _measured(facts, kind, name, files)),
        ("Limits", bullets([*cautions(config, _primary(facts)), *_limits(kind)])),
        ("License", _license(config)),
        ("Files", _files(listed)),
        ("Provenance", _provenance(files)),
    ]
    return document(f"Model card: {kind}{f' {name}' if name else ''} of the study {config.study}", parts)


def _what(config: Config, kind: str, name: str, files: Sequence[Path]) -> str:
    networks = {SEGMENTER: config.segmenter.network, RECOGNIZER: config.recognition.network}
    network = networks.get(kind) or config.synthesizers[name].painter.network
    text = f"A {kind}: a network that {PURPOSE[kind]}. Architecture `{network.name}`; {count(len(files), 'training')}."
    if kind == RECOGNIZER:
        painted = config.arms[name].synthesizer
        return text + (
            f" Trained with lesions of the synthesizer `{painted}`." if painted else " Trained on real images alone."
        )
    if kind == GENERATOR:
        text += f" Painter `{config.synthesizers[name].painter.kind}`, gate `{config.synthesizers[name].gate.kind}`."
    return text


def _training_data(facts: Facts) -> str:
    rows = []
    for fold, table in facts.folds.items():
        for part in ("train", "validation", "pool"):
            here = table[(table["part"] == part) & (table["excluded_because"] == "")]
            lesions = int(((here["tumors"] != "") | (here["category"] != "")).sum()) if part != "pool" else "hidden"
            rows.append((fold, part, len(here), here["patient_id"].nunique(), lesions))
    note = f"Sources, how they were chosen and prepared, and their licenses: [{DATA_SHEET}]({DATA_SHEET}). "
    note += "No case of a test fold, and no copy of one, is in any part of its training."
    return grid(("Fold", "Part", "Cases", "Patients", "With lesion"), rows) + "\n" + note


def _training(config: Config, kind: str, name: str) -> str:
    trainings = {SEGMENTER: config.segmenter.training, RECOGNIZER: config.recognition.training}
    settings = trainings.get(kind) or config.synthesizers[name].painter.training
    shown = {key: value for key, value in settings.model_dump(mode="json").items() if value is not None}
    rows = [(readable(key), value) for key, value in shown.items()]
    if kind == RECOGNIZER:
        rows.append(("seeds, one training each per fold", ", ".join(map(str, config.recognition.seeds))))
    rows.append(("seed of the study, which every draw derives from", config.seed))
    return grid(("Setting", "Value"), rows)


def _measured(facts: Facts, kind: str, name: str, files: Sequence[Path]) -> str:
    if kind == RECOGNIZER:
        return _scores(facts, name)
    if kind == GENERATOR:
        return _realism(facts, name)
    rows = []
    for path in files:
        history = read_table(path.with_name("history.csv"), HISTORY)
        last = history[history["name"].str.startswith("validation")].groupby("name")["value"].last()
        rows += [(path.parent.parent.parent.name, readable(metric), plain(value)) for metric, value in last.items()]
    text = "On validation patients of the training folds, at the last step; a check of the training, without an interval.\n\n"
    return text + grid(("Fold", "Metric", "Value"), rows) if rows else "Nothing was measured of it alone."


def _scores(facts: Facts, arm: str) -> str:
    """Means of a recognizer on test cases, and its differences from the baseline with their intervals."""
    task = TASKS[facts.config.task]
    means = facts.arms[(facts.arms["arm"] == arm) & (facts.arms["structure"] == task.overall)]
    rows = [
        (metric_name(row.metric), SPLITS.get(row.split, row.split), plain(row.mean), plain(row.sd), row.cases, row.patients,
         row.trainings)
        for row in means[means["metric"].isin(task.compared)].itertuples()
    ]  # fmt: skip
    header = ("Metric", "Test cases", "Mean", "SD of trainings", "Cases", "Patients", "Trainings")
    text = f"Of {structure_name(task.overall)}, on test cases that it was not trained on.\n\n" + grid(header, rows)
    summary = facts.summary[(facts.summary["arm"] == arm) & (facts.summary["structure"] == task.overall)]
    if summary.empty:
        return text + "\nIt is the baseline of the comparisons." if arm == facts.config.compared[0] else text
    confidence = facts.config.evaluation.confidence
    rows = [
        (metric_name(row.metric), SPLITS.get(row.split, row.split), signed(row.difference), _interval(row, confidence),
         p_value(row.p_adjusted).removeprefix("= ") if row.family == PRIMARY else "secondary", row.n, row.test)
        for row in summary.itertuples()
    ]  # fmt: skip
    header = ("Metric", "Test cases", "Difference", "Interval", "Adjusted p", "n", "Test")
    return f"{text}\nDifference from {facts.config.compared[0]}, on the same cases:\n\n{grid(header, rows)}"


def _realism(facts: Facts, name: str) -> str:
    if facts.realism is None:
        return "Nothing was measured of it alone: what counts is what recognizers learn from its lesions."
    wanted = facts.realism["statistic"].isin(["kernel", "auc", "neighbor"]) & facts.realism["value"].notna()
    here = facts.realism[wanted & (facts.realism["synthesizer"] == name)]
    rows = [
        (readable(row.organ), f"{readable(row.statistic)} of {readable(row.measure)}", plain(row.value),
         _interval(row, facts.config.evaluation.confidence), plain(row.reference), row.n, row.n_real)
        for row in here.itertuples()
    ]  # fmt: skip
    header = ("Organ", "Measure", "Painted", "Interval", "Real against real", "Painted lesions", "Real lesions")
    text = "How like real ones its lesions are (docs/explanation/realism.md says what each number means).\n\n"
    return text + grid(header, rows) if rows else "It has no bank, or too few lesions to be measured."


def _interval(row: object, confidence: float) -> str:
    return interval(row, confidence).removeprefix(f"{percent(confidence)} CI ")


def _primary(facts: Facts) -> "pd.DataFrame":
    return facts.summary[facts.summary["family"] == PRIMARY]


def _limits(kind: str) -> list[str]:
    found = ["It knows the organs, spacing and window of the study only, and is not calibrated for any other use."]
    if kind == GENERATOR:
        found.append("A painted scan is still a scan of its patient outside the painted voxels; handle it as the original.")
    return found


def _license(config: Config) -> str:
    if config.reporting.license:
        return config.reporting.license
    rows = [(source.name, license_of(config, source.name)) for source in config.sources]
    return "None is stated; weights derive from the data, so the terms of the data hold.\n\n" + grid(
        ("Source", "License"), rows
    )


def _files(listed: "pd.DataFrame") -> str:
    rows = [(f"`{row.weights}`", f"{row.numbers:,}", row.steps, row.bytes, f"`{row.sha256}`") for row in listed.itertuples()]
    return grid(("Below the study's folder", "Numbers held", "Steps", "Bytes", "SHA-256"), rows)


def describe_weights(path: Path) -> dict[str, Any]:
    """What a file of weights holds: the last columns of :data:`CARDS`."""
    place = "/".join(path.parts[next(i for i, part in enumerate(path.parts) if re.fullmatch(r"fold\d+", part)) :])
    with safe_open(path, "np") as weights:
        held = sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118 (not a mapping)
        described = json.loads((weights.metadata() or {}).get("description", "{}"))
    found = {"weights": place, "numbers": held, "steps": described.get("steps", -1)}
    return found | {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _provenance(files: Sequence[Path]) -> str:
    found = lasting_facts([path.with_name("provenance.json") for path in files])
    return grid(("Fact", "Value"), [(key, ", ".join(sorted(values))) for key, values in found.items()])
