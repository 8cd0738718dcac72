"""What was measured of the needs of jobs is what the page says, and can be measured again."""

import json

import pytest

from benchmarks.needs_measuring import main, measure, read_measured, scans_of
from benchmarks.needs_page import tables
from benchmarks.needs_points import Point, points
from freetumor.core.scans import fold_scans
from tests.conftest import REPOSITORY

TINY = (32, 32, 32)


def test_every_point_was_measured_as_it_is():
    measured = {(row["kind"], row["name"]): row for row in read_measured()}
    assert len(measured) == len({(point.kind, point.name) for point in points()})
    for point in points():
        row = measured[point.kind, point.name]
        assert json.loads(row["study"]) == json.loads(json.dumps(point.study))
        assert json.loads(row["job"]) == point.job


def test_the_page_shows_what_jobs_ask_for_and_what_was_measured():
    page = (REPOSITORY / "docs" / "explanation" / "scale.md").read_text(encoding="utf-8")
    for table in tables().strip().split("\n\n"):
        assert table in page, "run `.venv/bin/python benchmarks/needs.py --page`, and put its tables into the page"


def test_a_job_is_measured_as_the_workflow_runs_it(tmp_path):
    row = measure(Point("merge_volumes", "ten volumes", job={"source": "made"}, count=10))
    assert 50 < row["megabytes"] < 1000
    assert 0 < row["core_seconds"] < 60


def test_a_job_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match=r"merge_manifests\.py ended with [1-9]"):
        measure(Point("merge_manifests", "nothing", job={"fold": "0"}, count=0))


def test_what_the_workflow_would_know_of_the_scans_is_what_is_written_down(tmp_path):
    from benchmarks.needs_cases import write_fold

    point = Point("train_segmenter", "two", parts="tpp", stored=TINY, copies=2)
    write_fold(tmp_path, ["train", "pool", "pool"], TINY, TINY, copies=2)
    found, said = fold_scans(tmp_path / "cases.parquet"), scans_of(point)
    assert (found.train, found.pool, found.count) == (said.train, said.pool, said.count) == (2, 4, 6)
    assert found.stored == pytest.approx(said.stored, abs=1e-3)


def test_what_was_measured_is_listed_beside_what_is_asked_for(capsys):
    main("", ["--list", "--kinds", "score_cases"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == sum(point.kind == "score_cases" for point in points())
    assert all("asks for" in line for line in lines)
