"""The report: everything on one page, nothing fetched, nothing unescaped, no more claimed than shown."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import QUARANTINE, SUMMARY, make_table, read_table, write_table
from freetumor.figures import report_comparisons
from freetumor.figures.answers import GAIN, LOSS, NOT_SHOWN, p_value, sentence, signed, verdict
from freetumor.figures.fragments import Caption, write_caption
from freetumor.figures.html import Html, element, join
from freetumor.figures.page import SCRIPT, STYLE
from freetumor.figures.report import build_report
from freetumor.figures.report_provenance import without_local_paths
from freetumor.figures.sizes import plot_sizes
from tests.figures.made_config import make_config

PARTS = {"style": STYLE, "script": SCRIPT}
HOSTILE = "<script>alert(1)</script> \"'& <img src=x onerror=alert(1)> https://evil.example"


class Page(HTMLParser):
    """Elements and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in {"img", "meta", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # every element is closed in order

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def figures(study, tmp_path_factory):
    """Two pictures with their captions."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("sizes", "something_else"):
        plot_sizes(study.config, study.paths["sizes"], folder / f"{name}.png")
        facts = Caption(
            f"Title of {name}.", "Panels.", f"Drawing of {name}.", "24 cases", "case", "t test", "two-sided", "Holm"
        )
        write_caption(facts, folder / f"{name}.md")
    return [folder / "sizes.png", folder / "something_else.png"]


def build(study, figures, output, config: Config | None = None, **changes) -> Page:
    paths = {name: study.paths[name] for name in ("summary", "arms", "sizes", "cases", "quarantine")} | changes
    build_report(config or study.config, figures=figures, output=output, **paths)
    return Page(output.read_text(encoding="utf-8"))


def test_it_has_every_figure_whole_with_a_description(study, figures, tmp_path):
    page = build(study, figures, tmp_path / "report.html")
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    found = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in images]
    assert found == [path.read_bytes() for path in figures]
    assert all(len(image["alt"]) > 10 for image in images)
    assert page.open == []


def test_it_fetches_nothing_and_runs_its_own_script_alone(study, figures, tmp_path):
    page = build(study, figures, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert re.findall(r"<script>(.*?)</script>", text, re.DOTALL) == [SCRIPT] and text.count("<script") == 1
    assert re.findall(r"<style>(.*?)</style>", text, re.DOTALL) == [STYLE] and "style=" not in text
    policy = next(found["content"] for tag, found in page.elements if found.get("http-equiv") == "Content-Security-Policy")
    hashes = {kind: base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for kind, part in PARTS.items()}
    expected = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'"
    )
    assert policy == expected
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import", (tmp_path / "report.html").read_text())


def test_the_same_inputs_give_the_same_bytes(study, figures, tmp_path):
    build(study, figures, tmp_path / "a.html")
    build(study, figures, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_hostile_text_stays_text(study, figures, tmp_path):
    summary = read_table(study.paths["summary"], SUMMARY).assign(test=HOSTILE)
    write_table(summary, tmp_path / "summary.csv", SUMMARY)
    rows = [{"case_id": HOSTILE, "stage": "preprocessing", "code": HOSTILE, "path": HOSTILE, "reason": HOSTILE}]
    write_table(make_table(rows, QUARANTINE), tmp_path / "quarantine.tsv", QUARANTINE)
    (tmp_path / "provenance.json").write_text(json.dumps({"python": HOSTILE, "versions": {HOSTILE: HOSTILE}}))
    config = make_config(title=HOSTILE)
    plain = build(study, figures, tmp_path / "plain.html")
    page = build(
        study,
        figures,
        tmp_path / "report.html",
        config,
        summary=tmp_path / "summary.csv",
        quarantine=tmp_path / "quarantine.tsv",
        provenance=[tmp_path / "provenance.json"],
    )
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert sum(tag == "img" for tag, _ in page.elements) == len(figures)
    assert page.text.count("<script>alert(1)</script>") >= 5  # shown as it was written


def test_every_section_is_in_the_contents_and_every_link_leads_somewhere(study, figures, tmp_path):
    page = build(study, figures, tmp_path / "report.html")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [attributes["href"].removeprefix("#") for tag, attributes in page.elements if tag == "a"]
    assert len(set(ids)) == len(ids)
    assert set(links) <= set(ids)
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == links[1:]


def test_a_caption_says_what_its_numbers_rest_on(study, figures, tmp_path):
    text = build(study, figures, tmp_path / "report.html").text
    said = "Title of sizes. Panels. n: 24 cases; unit: case; intervals and tests: t test, two-sided; correction: Holm."
    assert f"Figure 1. {said} Numbers: figures/sizes.csv" in text


def test_a_figure_without_a_caption_is_named(study, figures, tmp_path):
    (tmp_path / "alone.png").write_bytes(figures[0].read_bytes())
    with pytest.raises(UserError, match=r"alone\.md: caption not found"):
        build(study, [tmp_path / "alone.png"], tmp_path / "report.html")


def test_what_a_pairing_left_out_stands_beside_its_number(study, figures, tmp_path):
    summary = read_table(study.paths["summary"], SUMMARY).assign(note="paired on 22 of 24 cases")
    write_table(summary, tmp_path / "summary.csv", SUMMARY)
    assert "; paired on 22 of 24 cases" in build(study, figures, tmp_path / "r.html", summary=tmp_path / "summary.csv").text


def test_code_that_no_commit_holds_is_admitted(study, figures, tmp_path):
    for name, commit in (("clean", "abc"), ("changed", "abc+changes")):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"commit": commit, "python": "3.11", "versions": {"torch": "2.13"}}))
        text = build(study, figures, tmp_path / "report.html", provenance=[path]).text
        assert ("changes to the code that no commit holds" in text) == (name == "changed") and "torch2.13" in text


def test_names_of_patients_and_places_stay_out(study, figures, tmp_path):
    page = build(study, figures, tmp_path / "report.html")
    assert "Jane" not in page.text
    assert "/secret" not in page.text
    assert "LOCAL_PATH" in page.text


def test_the_numbers_are_those_of_the_summary(study, figures, tmp_path):
    page = build(study, figures, tmp_path / "report.html")
    summary = pd.read_csv(study.paths["summary"])
    row = summary[(summary["metric"] == "dice") & (summary["arm"] == "freetumor") & (summary["split"] == "development")].iloc[0]
    expected = (
        f"+{row['difference']:.3f} (95 % CI {row['ci_low']:.3f} to {row['ci_high']:.3f}; adjusted p = {row['p_adjusted']:.3f}"
    )
    assert expected.replace("-", "−") in page.text
    assert f"Of {(summary['family'] == 'primary').sum()} primary comparisons" in page.text


def test_the_flow_of_cases_is_in_the_page_and_adds_up(study, figures, tmp_path):
    text = build(study, figures, tmp_path / "report.html").text
    text = text[text.index("StepCases") :]
    steps = ("entered", "quarantined", "excluded: duplicate", "used", "development", "pool", "external")
    counts = {step: int(re.search(rf"{step}(\d+)", text)[1]) for step in steps}
    assert counts["entered"] == 63
    assert counts["entered"] == counts["quarantined"] + counts["excluded: duplicate"] + counts["used"]
    assert counts["used"] == counts["development"] + counts["pool"] + counts["external"]


def comparison(**changes):
    row = {"metric": "dice", "structure": "tumor", "split": "development", "arm": "new", "baseline": "real", "n": 30}
    row |= {"patients": 30, "trainings": 6, "mean": 0.6, "mean_baseline": 0.5, "difference": 0.1, "ci_low": 0.05}
    row |= {"ci_high": 0.15, "p": 0.001, "p_adjusted": 0.002, "test": "t", "family": "primary", "better": "higher"}
    return next(pd.DataFrame([row | changes]).itertuples())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, GAIN),
        ({"better": "lower"}, LOSS),
        ({"difference": -0.1, "ci_low": -0.15, "ci_high": -0.05}, LOSS),
        ({"difference": -0.1, "ci_low": -0.15, "ci_high": -0.05, "better": "lower"}, GAIN),
        ({"ci_low": -0.01}, NOT_SHOWN),  # the interval includes 0
        ({"p_adjusted": 0.06}, NOT_SHOWN),  # significant only without correction
        ({"p_adjusted": float("nan")}, NOT_SHOWN),
        ({"ci_low": float("nan"), "ci_high": float("nan")}, NOT_SHOWN),
    ],
)
def test_no_more_is_claimed_than_shown(changes, expected):
    row = comparison(**changes)
    assert verdict(row, 0.95) == expected
    words = sentence(row, 0.95)
    assert ("a difference was not shown" in words) == (expected == NOT_SHOWN)


def test_a_secondary_comparison_shows_nothing():
    words = sentence(comparison(family="secondary", p_adjusted=float("nan"), split="external"), 0.95)
    assert "shown" not in words
    assert "secondary" in words
    assert "excludes 0" in words


def test_nothing_is_said_of_an_interval_that_there_is_not():
    row = comparison(family="secondary", p_adjusted=float("nan"), ci_low=float("nan"), ci_high=float("nan"))
    words = sentence(row, 0.95)
    assert "no interval" in words and " 0" not in words.partition("secondary")[2]
    assert report_comparisons.spoken_verdict(row, 0.95) == "no interval"


def test_a_study_of_one_arm_says_that_nothing_was_compared(study, figures, tmp_path):
    write_table(make_table([], SUMMARY), tmp_path / "summary.csv", SUMMARY)
    config = make_config(recognition={"arms": ["real"]})
    assert "Nothing was compared" in build(study, figures, tmp_path / "r.html", config, summary=tmp_path / "summary.csv").text


def test_phantoms_are_not_taken_for_patients(study, figures, tmp_path):
    config = make_config(sources=[{"name": "phantom_a", "kind": "phantom"}])
    assert "phantoms made in code" in build(study, figures, tmp_path / "r.html", config).text
    assert "phantoms made in code" not in build(study, figures, tmp_path / "s.html").text


def test_a_missing_figure_is_named(study, tmp_path):
    with pytest.raises(UserError, match=r"nothing\.png: figure not found"):
        build(study, [tmp_path / "nothing.png"], tmp_path / "report.html")


def test_elements_escape_all_but_markup():
    assert element("p", "a < b & c", Html("<b>d</b>"), class_='x"y') == '<p class="x&quot;y">a &lt; b &amp; c<b>d</b></p>'
    assert join(["<", ["&", Html("<br>")], 3]) == "&lt;&amp;<br>3"


def test_numbers_read_well():
    assert signed(-0.0123) == "−0.012"
    assert signed(0.5) == "+0.500"
    assert signed(-1e-17) == "+0.000"
    assert signed(12.345) == "+12.3"
    assert signed(float("nan")) == "–"
    assert p_value(0.0004) == "< 0.001"
    assert p_value(0.0123) == "= 0.012"


def test_only_local_paths_are_left_out():
    value = {"a": ["/home/x", "~/y", r"C:\data"], "b": "*.nii.gz", "c": 3, "d": "$DATA/images"}
    assert without_local_paths(value) == {"a": ["LOCAL_PATH"] * 3, "b": "*.nii.gz", "c": 3, "d": "$DATA/images"}
