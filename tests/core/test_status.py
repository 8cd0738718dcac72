"""The state of a run as its log and its benchmarks tell it."""

import os
import socket
import time

import pytest

from freetumor.core.runs import Driver
from freetumor.core.status import describe, hours_left, last_lines, read_run, seconds_by_rule

LOG = """\
Job stats:
job                 count
----------------  -------
train_recognizer        4
predict                 2
all                     1
total                   7

Select jobs to execute...
Job 3: Training arm real of fold 0 with seed 1
Finished jobid: 3 (Rule: train_recognizer)
1 of 7 steps (14%) done
Error in rule train_recognizer:
    jobid: 4
Finished jobid: 5 (Rule: predict)
Error in rule predict:
    jobid: 6
Finished jobid: 6 (Rule: predict)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "1.snakemake.log").write_text(LOG)
    place = tmp_path / "results" / "mine" / "benchmarks" / "train_recognizer"
    place.mkdir(parents=True)
    for number, seconds in enumerate((1800, 5400)):
        (place / f"{number}.tsv").write_text(f"s\th:m:s\n{seconds}\t-\n")
    (tmp_path / "results" / "mine" / "quarantine.tsv").write_text("case_id\na\nb\n")
    return tmp_path


def test_jobs_are_counted_by_rule_and_a_repeated_job_has_not_failed(folder):
    run = read_run(folder / "log" / "1.snakemake.log")
    assert run.planned == {"train_recognizer": 4, "predict": 2, "all": 1}
    assert run.finished == {"train_recognizer": 1, "predict": 2}
    assert run.failed == {"train_recognizer": 1}
    assert run.waiting == {"train_recognizer": 3, "all": 1}


def test_what_is_left_takes_as_long_as_what_was_done(folder):
    run = read_run(folder / "log" / "1.snakemake.log")
    seconds = seconds_by_rule(folder / "results" / "mine")
    assert hours_left(run, seconds) == (pytest.approx(3 * 1.0), [])
    assert hours_left(run, {}) == (0, ["train_recognizer"])


def test_the_page_names_failures_hours_and_quarantine(folder):
    text = describe("mine", folder / "results", folder / "log", Driver(1, "elsewhere", 0.0, "mine"))
    assert "3 of 7 jobs of the last run are done, 1 failed" in text
    assert "train_recognizer          1 of 4, 1 failed" in text
    assert "used: 2 h 00 min" in text
    assert "left: 3 h 00 min" in text
    assert "quarantined: 2 cases" in text
    assert "was started on elsewhere" in text


def test_another_study_and_an_empty_folder_are_said_to_be_so(folder, tmp_path):
    assert "nothing has run" in describe("mine", tmp_path, tmp_path / "empty", None)
    assert "STUDY=other" in describe("mine", tmp_path, folder / "log", Driver(1, socket.gethostname(), 0.0, "other"))


def test_the_last_lines_of_jobs_at_work(folder):
    logs = folder / "results" / "mine" / "logs" / "predict"
    logs.mkdir(parents=True)
    (logs / "new.log").write_text("first\npredict: 3/9 cases, 1 case/s, 6 s left\n")
    (logs / "old.log").write_text("done\n")
    os.utime(logs / "old.log", (1, 1))
    lines = last_lines(folder / "results" / "mine", time.time())
    assert [(path.name, text) for path, text in lines] == [("new.log", "predict: 3/9 cases, 1 case/s, 6 s left")]
