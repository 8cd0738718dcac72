"""The parts of the report about cases: where they came from, what became of them, and why some were refused."""

from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.figures.data_sheet import license_of
from freetumor.figures.flow import Flow, quarantine_reasons
from freetumor.figures.html import Html, Section, element, section, table
from freetumor.preprocessing.quarantine import REFUSALS

if TYPE_CHECKING:
    import pandas as pd

FLOW = "Flow of cases: entered = quarantined + excluded + used; used = development + pool + external"


def cases_section(config: Config, cases: "pd.DataFrame", flow: Flow, lost: "pd.DataFrame") -> Section:
    """Sources, the flow of cases, and the quarantine.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        flow: its counts.
        lost: table of ``core.tables.QUARANTINE``.
    """
    return section("Cases", table(FLOW, ("Step", "Cases"), flow.rows(), [1]), _sources(config, cases), _quarantine(lost))


def _sources(config: Config, cases: "pd.DataFrame") -> Html:
    rows = []
    for source in config.sources:
        here = cases[(cases["source"] == source.name) & (cases["excluded_because"] == "")]
        lesions = int(((here["tumors"] != "") | (here["category"] != "")).sum())
        counts = len(here), here["patient_id"].nunique(), int(here["labeled"].sum()), lesions
        terms = license_of(config, source.name).partition(";")[0]
        rows.append((source.name, source.kind.replace("_", " "), source.split, *counts, terms))
    header = ("Source", "Kind", "Role", "Used", "Patients", "Annotated", "With lesion", "License")
    return table("Sources (reporting/data_sheet.md says more)", header, rows, range(3, 7))


def _quarantine(lost: "pd.DataFrame") -> Html:
    reasons = quarantine_reasons(lost)
    if reasons.empty:
        return element("p", "No case was put into quarantine.")
    rows = [(row.code, row.stage, row.cases, REFUSALS.get(row.code, "")) for row in reasons.itertuples()]
    header = ("Code", "Stage", "Cases", "Meaning")
    return table("Why cases were put into quarantine (quarantine.tsv names each of them)", header, rows, [2])
