"""The report: one page that holds the answer, the tables, the figures, and how to make them again."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import write_text
from freetumor.core.tables import CASES, QUARANTINE, SUMMARY, read_table
from freetumor.evaluation.arms import ARMS
from freetumor.evaluation.comparisons import PRIMARY
from freetumor.evaluation.sizes import SIZES
from freetumor.figures.answers import cautions, count, opening, sentence
from freetumor.figures.checklist import checklist_section
from freetumor.figures.differences import drawn_comparisons
from freetumor.figures.flow import Flow, participant_flow
from freetumor.figures.fragments import NOT_TESTED, Caption, read_caption
from freetumor.figures.html import Section, element, picture, section
from freetumor.figures.page import page
from freetumor.figures.report_arms import arms_section, means_section
from freetumor.figures.report_cases import cases_section
from freetumor.figures.report_claims import claims_section
from freetumor.figures.report_classification import classification_section
from freetumor.figures.report_comparisons import comparisons_section
from freetumor.figures.report_provenance import provenance_section, reproduce_section
from freetumor.figures.report_tables import tables_sections
from freetumor.figures.style import readable

if TYPE_CHECKING:
    import pandas as pd

FOOTER = "Written by the rule that builds the report, from the tables of this study alone. The page fetches nothing."


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
    tables: Sequence[str | Path] = (),
    claims: str | Path | None = None,
    checklist: str | Path | None = None,
    cards: str | Path | None = None,
) -> None:
    """Write the report of a study. Its bytes depend on the inputs alone.

    Args:
        config: the study.
        summary: table of ``core.tables.SUMMARY``.
        arms: table of means per arm; all its columns are shown.
        sizes: table of sensitivity by size.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        figures: PNG files, in order; the caption ``<name>.md`` lies beside each.
        output: path of the HTML file.
        provenance: provenance files of training jobs.
        classification: of a classification, table of its rates; ``selections.csv`` lies beside it.
        tables: further tables of the evaluation, of those that ``report_tables.EXTRAS`` names.
        claims: published beside measured numbers.
        checklist: the answered reporting checklist.
        cards: table of the model cards.

    Raises:
        UserError: if a figure or its caption is missing, a table is unknown, or the checklist points to a missing section.
    """
    comparisons = read_table(summary, SUMMARY)
    drawn = drawn_comparisons(config, comparisons)
    counted, lost = read_table(cases, CASES), read_table(quarantine, QUARANTINE)
    flow = participant_flow(counted, lost)
    sections = [
        _answer(config, drawn, flow),
        comparisons_section(config, comparisons),
        *([classification_section(config, classification)] if classification else []),
        _figures(figures),
        *tables_sections(config, tables),
        means_section(config, read_table(arms, ARMS), read_table(sizes, SIZES)),
        *([claims_section(config, claims)] if claims else []),
        cases_section(config, counted, flow, lost),
        arms_section(config),
        _limits(config, drawn),
        *([checklist_section(checklist)] if checklist else []),
        provenance_section(config, provenance, cards),
        reproduce_section(config),
    ]
    whole = page(config.title or f"Study {config.study}", f"Study {config.study}", sections, FOOTER)
    _check_links(whole, checklist)
    write_text(output, whole)


def _check_links(whole: str, source: str | Path | None) -> None:
    """Every link within the page must lead somewhere."""
    dead = sorted(set(re.findall(r'href="#([^"]+)"', whole)).difference(re.findall(r' id="([^"]+)"', whole)))
    if dead:
        raise UserError(f"{source}: the page has no section '{dead[0]}'")


def _answer(config: Config, drawn: "pd.DataFrame", flow: Flow) -> Section:
    confidence = config.evaluation.confidence
    counted = (("arm", config.recognition.arms), ("fold", config.folds), ("seed", config.recognition.seeds))
    several = drawn["structure"].nunique() > 1
    by_arm = []
    primary = drawn[drawn["family"] == PRIMARY]
    for arm in dict.fromkeys(primary["arm"]):
        rows = primary[primary["arm"] == arm]
        sentences = [element("li", sentence(row, confidence, several), ".") for row in rows.itertuples()]
        by_arm.append(element("li", element("strong", arm), element("ul", sentences)))
    facts = [
        (f"{flow.analyzed:,}", "cases used"),
        *(tuple(count(len(things), noun).split(" ", 1)) for noun, things in counted),
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


def _figures(figures: Sequence[str | Path]) -> Section:
    shown = []
    for number, path in enumerate(map(Path, figures), 1):
        if not path.is_file():
            raise UserError(f"{path}: figure not found")
        words = read_caption(path.with_suffix(".md"))
        source = element("span", " Numbers: ", element("code", f"figures/{path.stem}.csv"), ".")
        text = [element("strong", words.title), " ", words.text, " ", _tested(words), source]
        shown.append(picture(path, words.alternative, text, number))
    return section("Figures", *shown)


def _tested(words: Caption) -> str:
    """What one must know to judge the numbers of a figure, in a line."""
    tests = [] if words.test == NOT_TESTED else [f"intervals and tests: {words.test}, {words.sides}"]
    tests += [] if words.correction == NOT_TESTED else [f"correction: {words.correction}"]
    return "; ".join([f"n: {words.n}", f"unit: {words.unit}", *tests]) + "."


def _limits(config: Config, drawn: "pd.DataFrame") -> Section:
    found = [
        *cautions(config, drawn),
        "A network knows the organs, the spacing and the window that it was trained with, and nothing else.",
        "Outside the painted voxels a scan with painted tumors is the scan of its patient; handle it as the original.",
    ]
    use = element("p", element("strong", "Intended use. "), config.reporting.intended_use)
    return section("Limits", use, element("ul", [element("li", text) for text in found]))
