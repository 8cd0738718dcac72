"""Checksums tell what has changed since a run, and nothing else."""

import os

import pytest

from freetumor.core.checksums import record, results_of, verify
from freetumor.core.errors import UserError
from freetumor.core.files import read_json


@pytest.fixture
def folder(tmp_path):
    for name in (
        "config.yaml",
        "evaluation/summary.csv",
        "fold0/a.pack",
        "logs/x.log",
        "benchmarks/x.tsv",
        ".hidden",
        "provenance.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    record(tmp_path, 7)
    return tmp_path


def test_results_are_recorded_and_records_of_machines_are_not(folder):
    assert list(results_of(folder)) == ["config.yaml", "evaluation/summary.csv", "fold0/a.pack"]
    facts = read_json(folder / "checksums.json")
    assert facts["seed"] == 7
    assert set(facts["files"]) == set(results_of(folder))


def test_an_untouched_study_is_verified(folder, capsys):
    verify(folder)
    assert "3 results are what" in capsys.readouterr().out


def test_every_difference_is_named(folder, capsys):
    stat = (folder / "fold0" / "a.pack").stat()
    (folder / "fold0" / "a.pack").write_text("fold0/b.pack")  # as long, and dated back
    os.utime(folder / "fold0" / "a.pack", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (folder / "config.yaml").unlink()
    (folder / "new.csv").touch()
    os.utime(folder / "new.csv", (0, 0))
    with pytest.raises(UserError, match="1 of 3 results differ, 1 are missing, 1 were not there"):
        verify(folder)
    out = capsys.readouterr().out.splitlines()
    assert out == ["differs: fold0/a.pack", "is missing: config.yaml", "was not there: new.csv"]


def test_two_runs_of_a_study_can_be_compared(folder, tmp_path_factory, capsys):
    other = tmp_path_factory.mktemp("other")
    for name in results_of(folder):
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_bytes((folder / name).read_bytes())
    record(other, 7)
    (other / "config.yaml").write_text("of a machine with more cores")
    record(other, 7)
    verify(folder, other / "checksums.json")
    (other / "evaluation" / "summary.csv").write_text("changed")
    record(other, 7)
    with pytest.raises(UserError, match="1 of 2 results differ"):
        verify(folder, other / "checksums.json")
    assert "differs: evaluation/summary.csv" in capsys.readouterr().out


def test_results_of_a_run_that_was_killed_before_its_end_are_recorded(folder, capsys):
    (folder / "fold0" / "export.csv").write_text("new")
    later = (folder / "checksums.json").stat().st_mtime + 5
    os.utime(folder / "fold0" / "export.csv", (later, later))
    verify(folder)
    assert "1 results are newer than that and are recorded now: fold0/export.csv" in capsys.readouterr().out
    (folder / "fold0" / "export.csv").write_text("NEW")
    with pytest.raises(UserError, match="1 of 4 results differ"):
        verify(folder)


def test_a_study_without_checksums_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"checksums\.json: expected the checksums of a finished study"):
        verify(tmp_path)
