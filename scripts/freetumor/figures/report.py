"""The report: one page that holds the answer, the tables, the figures, and how to make them again."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import read_json, write_text
from freetumor.core.tables import CASES, QUARANTINE, SUMMARY, read_table
from freetumor.evaluation.arms import ARMS
from freetumor.evaluation.comparisons import PRIMARY
from freetumor.evaluation.sizes import SIZES
from freetumor.figures.answers import (
    GAIN,
    LOSS,
    cautions,
    count,
    excludes_zero,
    is_primary,
    opening,
    p_value,
    percent,
    plain,
    sentence,
    signed,
    test_names,
    verdict,
)
from freetumor.figures.captions import Facts, caption
from freetumor.figures.differences import SPLITS, drawn_comparisons
from freetumor.figures.flow import Flow, participant_flow, quarantine_reasons
from freetumor.figures.html import Html, element, folded, page, picture, section, table
from freetumor.figures.report_arms import arms_section, means_section
from freetumor.figures.report_classification import classification_sections
from freetumor.figures.style import metric_name, readable, structure_name
from freetumor.preprocessing.quarantine import REFUSALS

if TYPE_CHECKING:
    import pandas as pd

# Facts of a job's provenance that are the same whenever the study is run again on the same machine.
LASTING = ("commit", "python", "machine", "gpu", "threads")
FLOW = "Flow of cases: entered = quarantined + excluded + used; used = development + pool + external"
SAME_AGAIN = (
    "Paths of local data are left out of it. Tables and figures come out byte for byte the same on the same kind of device "
    "with the same number of torch threads."
)


def build_report(
    config: Config,
    summary: str | Path,
    arms: str | Path,
    sizes: str | Path,
    cases: str | Path,
    quarantine: str | Path,
    figures: Sequence[str | Path],
    output: str | Path,
    provenance: Sequence[str | Path] = (),
    classification: str | Path | None = None,
) -> None:
    """Write the report of a study. Its bytes depend on the inputs alone.

    Args:
        config: the study.
        summary: table of ``core.tables.SUMMARY``.
        arms: table of means per arm; all its columns are shown.
        sizes: table of sensitivity by size.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        figures: PNG files, in order.
        output: path of the HTML file.
        provenance: provenance files of training jobs.
        classification: of a classification, table of its rates; ``selections.csv`` and ``claims.csv`` lie beside it.

    Raises:
        UserError: if a figure is missing.
    """
    comparisons = read_table(summary, SUMMARY)
    drawn = drawn_comparisons(config, comparisons)
    lost = read_table(quarantine, QUARANTINE)
    flow = participant_flow(read_table(cases, CASES), lost)
    facts = Facts(config, flow, drawn, read_table(sizes, SIZES))
    title = config.title or f"Study {config.study}"
    body = [
        element("header", element("h1", title), element("p", f"Study {config.study}", class_="muted")),
        element(
            "main",
            _answer(config, drawn, flow),
            _comparisons(config, comparisons),
            classification_sections(config, classification) if classification else [],
            _figures(figures, facts),
            means_section(config, read_table(arms, ARMS), facts.sizes),
            _participants(flow, lost),
            arms_section(config),
            _provenance(provenance),
            _reproduce(config),
        ),
        element("footer", element("p", "Written by the rule that builds the report, from the tables of this study alone.")),
    ]
    write_text(output, page(title, *body))


def _answer(config: Config, drawn: "pd.DataFrame", flow: Flow) -> Html:
    confidence = config.evaluation.confidence
    several = drawn["structure"].nunique() > 1
    by_arm = []
    for arm in dict.fromkeys(drawn["arm"]):
        rows = drawn[drawn["arm"] == arm].sort_values("family", kind="stable")
        sentences = [element("li", sentence(row, confidence, several), ".") for row in rows.itertuples()]
        by_arm.append(element("li", element("strong", arm), element("ul", sentences)))
    facts = [
        (f"{flow.analyzed:,}", "cases used"),
        (str(len(config.recognition.arms)), "arms"),
        (str(len(config.folds)), "folds"),
        (str(len(config.recognition.seeds)), "seeds"),
        (", ".join(map(readable, config.organs)), "organs" if len(config.organs) > 1 else "only"),
        *([(", ".join(map(readable, config.categories)), "categories")] if config.categories else []),
    ]
    answer = [element("p", opening(config, drawn)), *([element("ul", by_arm)] if by_arm else [])]
    answer += [element("p", element("em", text)) for text in cautions(config, drawn)]
    return section(
        "Answer",
        element("ul", [element("li", element("strong", value), f" {name}") for value, name in facts], class_="facts"),
        element("div", *answer, class_="answer"),
    )


def _comparisons(config: Config, comparisons: "pd.DataFrame") -> Html:
    primary = comparisons["family"] == PRIMARY
    parts = [element("p", "The study has no primary comparison.")]
    if primary.any():
        parts = [_comparison_table(config, "Primary comparisons, p adjusted by Holm's method", comparisons[primary])]
    if (~primary).any():
        others = _comparison_table(config, "Secondary comparisons, not corrected", comparisons[~primary])
        parts.append(folded(f"Secondary comparisons ({(~primary).sum()})", others))
    return section("Comparisons", *parts)


def _comparison_table(config: Config, name: str, rows: "pd.DataFrame") -> Html:
    """One line per comparison; what all lines share is said in the caption instead of in a column."""
    confidence = config.evaluation.confidence
    shared = [column for column in ("structure", "split") if rows[column].nunique() == 1]
    naming = {"structure": ("Structure", structure_name), "split": ("Test cases", lambda split: SPLITS.get(split, split))}
    own = [column for column in naming if column not in shared]
    header = ["Arm", "Metric", *(naming[column][0] for column in own), "Mean", "Baseline", "Difference"]
    header += [f"{percent(confidence)} CI", "p", "Adjusted p", "n (patients; trainings)", "Verdict"]
    body = []
    for row in rows.itertuples():
        limits = f"{plain(row.ci_low)} to {plain(row.ci_high)}" if math.isfinite(row.ci_low) else "–"
        what = metric_name(row.metric) + (" (lower is better)" if row.better == "lower" else "")
        places = [naming[column][1](getattr(row, column)) for column in own]
        numbers = [plain(row.mean), plain(row.mean_baseline), signed(row.difference), limits, _p(row.p), _p(row.p_adjusted)]
        units = f"{row.n} ({row.patients}; {row.trainings})"
        body.append([row.arm, what, *places, *numbers, units, _verdict(row, confidence)])
    said = ", ".join([naming[column][1](rows[column].iloc[0]) for column in shared])
    place = f" ({said})" if said else ""
    tests, baseline = test_names(rows["test"]), rows["baseline"].iloc[0]
    note = f"{name}{place}. Test: {tests}. Differences are arm minus {baseline}."
    return table(note, header, body, numeric=range(2 + len(own), len(header) - 1))


def _p(value: float) -> str:
    return p_value(value).removeprefix("= ") if math.isfinite(value) else "–"


def _verdict(row: object, confidence: float) -> object:
    if not is_primary(row):
        return "interval excludes 0" if excludes_zero(row) else "interval includes 0"
    found = verdict(row, confidence)
    return element("span", f"{found} shown", class_=found) if found in (GAIN, LOSS) else found


def _figures(figures: Sequence[str | Path], facts: Facts) -> Html:
    shown = []
    for number, path in enumerate(map(Path, figures), 1):
        if not path.is_file():
            raise UserError(f"{path}: figure not found")
        words = caption(path.stem, facts)
        source = element("span", " Numbers: ", element("code", f"figures/{path.stem}.csv"), ".")
        shown.append(picture(path, words.alternative, [element("strong", words.title), " ", words.text, source], number))
    return section("Figures", *shown)


def _participants(flow: Flow, lost: "pd.DataFrame") -> Html:
    parts = [table(FLOW, ("Step", "Cases"), flow.rows(), [1])]
    reasons = quarantine_reasons(lost)
    if len(reasons):
        rows = [(row.code, row.stage, row.cases, REFUSALS.get(row.code, "")) for row in reasons.itertuples()]
        header = ("Code", "Stage", "Cases", "Meaning")
        parts.append(table("Why cases were put into quarantine (quarantine.tsv names each of them)", header, rows, [2]))
    else:
        parts.append(element("p", "No case was put into quarantine."))
    return section("Cases", *parts)


def _provenance(paths: Sequence[str | Path]) -> Html:
    found: dict[str, set[str]] = {}
    for path in paths:
        facts = read_json(path)
        lasting = {name: facts.get(name) for name in LASTING} | facts.get("versions", {})
        for name, value in lasting.items():
            if value not in (None, ""):
                found.setdefault(name, set()).add(str(value))
    if not found:
        return section("Provenance", element("p", "No provenance files were given to this report."))
    rows = [(name, ", ".join(sorted(values))) for name, values in found.items()]
    return section(
        "Provenance", table(f"Software and hardware of {count(len(paths), 'training job')}", ("Fact", "Value"), rows)
    )


def _reproduce(config: Config) -> Html:
    settings = yaml.safe_dump(without_local_paths(config.model_dump(mode="json")), sort_keys=False, width=110)
    command = ".venv/bin/snakemake --cores 4 --configfile study.yaml report"
    return section(
        "How to make this again",
        element("p", "The configuration below is complete. Save it as ", element("code", "study.yaml"), " and run:"),
        element("pre", element("code", command)),
        element("p", SAME_AGAIN),
        folded("Configuration", element("pre", element("code", settings))),
    )  # fmt: skip


def without_local_paths(value: Any) -> Any:
    """Replace absolute paths, which say where somebody keeps patient data, in a configuration."""
    if isinstance(value, dict):
        return {key: without_local_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_local_paths(inner) for inner in value]
    if isinstance(value, str) and re.match(r"/|~|[A-Za-z]:[\\/]", value):
        return "LOCAL_PATH"
    return value
