"""The reporting checklist: one table in the repository with answers, of which every study takes those that hold for it.

Reference:
    Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology: AI 6(4), 2024.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import INTEGER, TEXT, Schema, make_table, read_table, write_table
from freetumor.figures.html import Html, Section, element, folded, link, section, table

if TYPE_CHECKING:
    import pandas as pd

ITEMS = 44
REPORTED, PARTLY, OPEN, NOT_APPLICABLE = STATUSES = ("reported", "partly", "open", "not applicable")
REPORT, RESULTS, REPOSITORY = PLACES = ("report", "results", "repository")
CHECKLIST = Schema(
    "reporting checklist",
    {
        "number": INTEGER,
        "section": TEXT,
        "subject": TEXT,
        "status": TEXT,
        "answer": TEXT,  # what is so, or why it is not
        "where": TEXT,  # places, separated by blanks: `report:<anchor>`, `results:<path>`, `repository:<path>`
    },
)
CONDITIONS: dict[str, Callable[[Config], bool]] = {
    "phantom": lambda config: all(source.kind.endswith("phantom") for source in config.sources),
    "external": lambda config: any(source.split == "external" for source in config.sources),
    "classification": lambda config: config.task == "classification",
    "keeps the best": lambda config: config.recognition.training.keep == "best",
}


def build_checklist(config: Config, items: str | Path, results: str | Path, output: str | Path) -> "pd.DataFrame":
    """Answer the checklist for a study.

    Args:
        config: the study.
        items: the answers (YAML); ``docs/reporting/claim2024.yaml`` says what it holds.
        results: folder of the study, in which the files that answers point to must lie.
        output: table of :data:`CHECKLIST`.

    Returns:
        The output.

    Raises:
        UserError: if an item has no answer, or an answer points to a file that is not there.
    """
    found = make_table([answered(config, item, items) for item in read_items(items)], CHECKLIST)
    for row in found.itertuples():
        for place in row.where.split():
            kind, _, path = place.partition(":")
            if kind == RESULTS and not (Path(results) / path).exists():
                raise UserError(f"{items}: item {row.number}: {path}: no such file below {results}")
    write_table(found, output, CHECKLIST)
    return found


def read_items(path: str | Path) -> list[dict[str, Any]]:
    """The items, checked: all numbers once and in order, and an answer for every study.

    Raises:
        UserError: naming the item and what is wrong with it.
    """
    items = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["items"]
    numbers = [item.get("number") for item in items]
    if numbers != list(range(1, ITEMS + 1)):
        raise UserError(f"{path}: expected the items 1 to {ITEMS} in order, got {numbers}")
    for item in items:
        where = f"{path}: item {item['number']}"
        answers = item.get("answers") or [{}]
        if not (item.get("section") and item.get("subject")):
            raise UserError(f"{where}: section and subject must not be empty")
        if {"when", "config"} & set(answers[-1]):
            raise UserError(f"{where}: the last answer must hold for every study")
        for answer in answers:
            _check_answer(answer, where)
    return items


def _check_answer(answer: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(answer).difference(("when", "config", "status", "says", "where")))
    if unknown:
        raise UserError(f"{where}: {unknown[0]}: unknown key of an answer")
    if answer.get("status") not in STATUSES:
        raise UserError(f"{where}: expected a status among {', '.join(STATUSES)}, got {answer.get('status')!r}")
    if answer.get("when", "phantom") not in CONDITIONS:
        raise UserError(f"{where}: expected a condition among {', '.join(CONDITIONS)}, got {answer['when']!r}")
    if not (str(answer.get("says") or "").strip() or answer.get("config")):
        raise UserError(f"{where}: an answer is empty")
    if answer["status"] == REPORTED and not (answer.get("where") or answer.get("config")):
        raise UserError(f"{where}: what is reported must say where")
    for place in answer.get("where", []):
        if place.partition(":")[0] not in PLACES or not place.partition(":")[2] or " " in place:
            raise UserError(f"{where}: expected {', '.join(f'{name}:<place>' for name in PLACES)}, got {place!r}")


def answered(config: Config, item: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The row of an item: its first answer that holds for the study."""
    row = {"number": item["number"], "section": item["section"], "subject": item["subject"]}
    for answer in item["answers"]:
        said = answer.get("says", "")
        if "config" in answer:
            said = str(reduce(getattr, answer["config"].split("."), config))
        if said and CONDITIONS.get(answer.get("when"), lambda config: True)(config):
            return row | {"status": answer["status"], "answer": said, "where": " ".join(answer.get("where", []))}
    raise UserError(f"{path}: item {item['number']}: no answer for this study")


def checklist_section(path: str | Path) -> Section:
    """The checklist on the page of a study; places on the page are links.

    Args:
        path: table of :data:`CHECKLIST`.
    """
    found = read_table(path, CHECKLIST)
    counts = {status: int((found["status"] == status).sum()) for status in STATUSES}
    summary = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    rows = [
        (row.number, row.section, row.subject, row.status, row.answer, _places(row.where.split())) for row in found.itertuples()
    ]
    header = ("Item", "Section", "Subject", "Status", "Answer", "Where")
    note = (
        f"Of {len(found)} items of CLAIM 2024, {summary}. Subjects are in our words; submit the publisher's form. "
        "What is open, only the authors of a paper can add."
    )
    shown = table("CLAIM 2024 (reporting/claim2024.csv)", header, rows, [0])
    return section("Reporting checklist", element("p", note), folded(f"All {len(found)} items", shown))


def _places(places: Sequence[str]) -> list[Html]:
    shown = []
    for place in places:
        kind, _, target = place.partition(":")
        text = link(f"§ {target.replace('-', ' ')}", f"#{target}") if kind == REPORT else element("code", target)
        shown += [text, element("br")]
    return shown[:-1]
