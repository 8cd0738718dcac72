"""The reporting checklist: no empty item, no dead link, and answers that follow from the study."""

import copy
import re

import pytest
import yaml

from freetumor.core.errors import UserError
from freetumor.core.tables import read_table
from freetumor.figures.checklist import (
    CHECKLIST,
    CONDITIONS,
    ITEMS,
    OPEN,
    REPORT,
    REPORTED,
    REPOSITORY,
    RESULTS,
    STATUSES,
    answered,
    build_checklist,
    checklist_section,
    read_items,
)
from freetumor.figures.page import page
from tests.classification import classification_config
from tests.conftest import REPOSITORY as ROOT
from tests.docs.test_docs import anchors
from tests.figures.made_config import make_config

PATH = ROOT / "docs" / "reporting" / "claim2024.yaml"
STUDIES = {
    "patients": lambda **changes: make_config(**changes),
    "phantom": lambda **changes: make_config(sources=[{"name": "p", "kind": "phantom"}], **changes),
    "classification": lambda **changes: classification_config(**changes),
}


def rows(config):
    return {row["number"]: row for row in (answered(config, item, PATH) for item in read_items(PATH))}


def places():
    return [place for item in read_items(PATH) for answer in item["answers"] for place in answer.get("where", [])]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_answers_every_item(name):
    found = rows(STUDIES[name]())
    assert list(found) == list(range(1, ITEMS + 1))
    for row in found.values():
        assert row["status"] in STATUSES and row["section"] and row["subject"] and row["answer"].strip()
        assert row["where"] or row["status"] != REPORTED


def test_no_link_into_the_repository_is_dead():
    for place in (place for place in places() if place.startswith(REPOSITORY)):
        path, _, anchor = place.partition(":")[2].partition("#")
        assert (ROOT / path).is_file(), place
        assert not anchor or anchor in anchors(ROOT / path), place


def test_results_are_those_that_the_rules_make():
    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    for place in (place for place in places() if place.startswith(RESULTS)):
        path = place.partition(":")[2]
        drawn = re.fullmatch(r"figures/(\w+)\.csv", path)
        made = f'drawing("{drawn[1]}"' if drawn else f"results/{{study}}/{path}"
        assert made in rules or path == "config.yaml", place


def test_answers_follow_from_the_study():
    external, none = make_config(), make_config(sources=[{"name": "p", "kind": "phantom"}])
    assert rows(external)[33]["status"] == REPORTED and rows(none)[33]["status"] == "not applicable"
    assert rows(none)[16]["status"] == "not applicable" and rows(external)[16]["status"] == "partly"
    assert "Confusion" in rows(classification_config())[39]["answer"]


def test_what_only_authors_know_comes_from_the_configuration():
    assert rows(make_config())[44]["status"] == OPEN
    row = rows(make_config(reporting={"funding": "The Crown, which took no part."}))[44]
    assert (row["status"], row["answer"]) == (REPORTED, "The Crown, which took no part.")


def test_the_page_links_to_its_own_sections(tmp_path):
    config, results = make_config(), tmp_path / "results"
    for place in (place for place in places() if place.startswith(RESULTS)):
        (results / place.partition(":")[2]).parent.mkdir(parents=True, exist_ok=True)
        (results / place.partition(":")[2]).touch()
    table = build_checklist(config, PATH, results, tmp_path / "claim2024.csv")
    assert read_table(tmp_path / "claim2024.csv", CHECKLIST).equals(table)
    shown = page("t", "s", [checklist_section(tmp_path / "claim2024.csv")], "f")
    wanted = {place.partition(":")[2] for row in table["where"] for place in row.split() if place.startswith(REPORT)}
    assert wanted and wanted <= set(re.findall(r'href="#([^"]+)"', shown))
    (results / "evaluation" / "summary.csv").unlink()
    with pytest.raises(UserError, match=r"claim2024\.yaml: item 29: evaluation/summary\.csv: no such file"):
        build_checklist(config, PATH, results, tmp_path / "claim2024.csv")


def _missing(items):
    items.pop(6)


def _empty(items):
    items[3]["answers"][0]["says"] = " "


def _nowhere(items):
    items[3]["answers"][0].pop("where")


def _status(items):
    items[3]["answers"][0]["status"] = "done"


def _condition(items):
    items[4]["answers"][0]["when"] = "ghosts"


def _uncertain(items):
    items[4]["answers"].pop()


def _place(items):
    items[3]["answers"][0]["where"] = ["somewhere"]


def _key(items):
    items[3]["answers"][0]["say"] = "x"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_missing, "expected the items 1 to 44 in order"),
        (_empty, "item 4: an answer is empty"),
        (_nowhere, "item 4: what is reported must say where"),
        (_status, "item 4: expected a status among .*, got 'done'"),
        (_condition, f"item 5: expected a condition among {', '.join(CONDITIONS)}, got 'ghosts'"),
        (_uncertain, "item 5: the last answer must hold for every study"),
        (_place, "item 4: expected report:<place>, results:<place>, repository:<place>, got 'somewhere'"),
        (_key, "item 4: say: unknown key"),
    ],
)
def test_a_mistake_in_the_checklist_is_named(tmp_path, spoil, message):
    items = copy.deepcopy(read_items(PATH))
    spoil(items)
    (tmp_path / "items.yaml").write_text(yaml.safe_dump({"items": items}))
    with pytest.raises(UserError, match=message):
        read_items(tmp_path / "items.yaml")
