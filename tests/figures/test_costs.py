"""The page of costs: every rule with its sums, every job, and the way to the table and the report."""

import pytest

from freetumor.figures import costs
from freetumor.figures.costs import write_cost_page


@pytest.fixture
def study(tmp_path):
    place = tmp_path / "benchmarks" / "predict"
    place.mkdir(parents=True)
    for number in range(3):
        (place / f"fold0-a<b-seed{number}.tsv").write_text(
            f"s\th:m:s\tmax_rss\tcpu_time\n{1000 + number}\t-\t{200 + number}\t9\n"
        )
    return tmp_path


def test_a_rule_has_the_sums_of_its_jobs(study):
    write_cost_page("Mine & yours", study, [], [], "report.html")
    text = (study / "costs.html").read_text()
    row = text[text.index(">predict</th>") :].split("</tr>")[0]
    assert [cell for cell in ("3", "3,003", "1,002", "27", "202", "none") if f">{cell}</td>" not in row] == []
    assert "Mine &amp; yours" in text and "a&lt;b" in text and 'href="report.html"' in text and 'href="costs.csv"' in text
    assert "3 jobs, 50 min 03 s one after the other, 27 s of CPU" in text
    assert (study / "costs.csv").read_text().count("\n") == 4


def test_of_many_jobs_the_page_shows_the_longest(study, monkeypatch):
    monkeypatch.setattr(costs, "SHOWN", 1)
    write_cost_page("mine", study, [], [], "report.html")
    text = (study / "costs.html").read_text()
    assert "The longest 1 of 3 jobs" in text
    assert "seed2" in text and "seed1" not in text


def test_a_study_without_benchmarks_says_so(tmp_path):
    write_cost_page("mine", tmp_path, [], [], "report.html")
    assert "No job left a benchmark." in (tmp_path / "costs.html").read_text()
