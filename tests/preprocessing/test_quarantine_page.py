"""The reference page lists exactly the codes of the code, with the same words."""

import pickle
import re

import pytest

from freetumor.preprocessing.quarantine import NOTES, REFUSALS, CaseRefused, quarantine_row
from tests.conftest import REPOSITORY


def test_the_page_lists_the_codes_of_the_code():
    text = (REPOSITORY / "docs/reference/quarantine.md").read_text(encoding="utf-8")
    refusals, notes = text.split("## Repairs")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", refusals, re.MULTILINE)) == REFUSALS
    assert dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", notes, re.MULTILINE)) == NOTES


def test_every_code_is_used_and_every_used_code_exists():
    folder = REPOSITORY / "scripts/freetumor/preprocessing"
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py") if path.name != "quarantine.py")
    unused = [code for code in (*REFUSALS, *NOTES) if f'"{code}"' not in source]
    assert unused == []
    with pytest.raises(ValueError, match="not a quarantine code"):
        CaseRefused("no_such_code", "file", "reason")


def test_a_refusal_is_one_line_and_crosses_process_borders():
    error = pickle.loads(pickle.dumps(CaseRefused("spacing", "a/b", "two\nlines\there")))
    assert quarantine_row("case", error) == {
        "case_id": "case",
        "stage": "preprocessing",
        "code": "spacing",
        "path": "a/b",
        "reason": "two lines here",
    }
