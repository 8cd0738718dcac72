"""What the jobs of a study took, as their benchmarks, logs and provenance tell it."""

import csv
import json

import pytest

from freetumor.core.costs import JobCost, job_costs, write_costs

HEADER = "s\th:m:s\tmax_rss\tcpu_time\n"
LOG = """\
real fold 0 seed 1: 499/500 steps, 12.3 steps/s, 0 s left
real fold 0 seed 1: 500/500 steps, 12 steps/s, finished in 42 s
took 55.1 s, 30.5 core-seconds
took 55.0 s, 20.0 core-seconds
"""


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "results" / "mine"
    files = {
        "benchmarks/score_gate.tsv": HEADER + "3.5\t0:00:03\t-\t-\n",
        "benchmarks/train_recognizer/fold0-real-seed1.tsv": HEADER + "60\t0:01:00\t700.5\t24\n",
        "benchmarks/train_recognizer/fold0-real-seed2.tsv": HEADER + "50\t0:00:50\t600\t20\n",
        "logs/train_recognizer/fold0-real-seed1.log": LOG,
        "logs/train_recognizer/fold0-real-seed2.log": "real fold 0 seed 2: 499/500 steps, 12.3 steps/s, 0 s left\n",
        "fold0/recognition/real/seed1/provenance.json": json.dumps(
            {"command": ["train_recognizer.py"], "gpu": "NVIDIA, a", "gpu_peak_mib": 512}
        ),
    }
    files["../volumes/ct/source_a/shards/7.benchmark.tsv"] = HEADER + "8\t0:00:08\t900\t7\n"
    files["../volumes/ct/source_a/shards/7.log"] = "source_a 7: 3/3 cases, 1.5 cases/s, finished in 2 s\n"
    files["../data/source_a/download.tsv"] = HEADER + "9\t0:00:09\t300\t5\n"
    files["../data/source_a/download.log"] = "source_a: 3/3 cases, 0.5 cases/s, finished in 6 s\n"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_job_has_its_time_its_work_and_its_machine(study):
    volumes, data = study.parent / "volumes" / "ct" / "source_a", study.parent / "data"
    assert job_costs(study, [volumes], [data / "source_a", data / "not fetched yet"]) == [
        JobCost("download_source", "source_a", 9, 5, 300, 3, "cases", 0.5),
        JobCost("preprocess_shard", "ct-source_a-7", 8, 7, 900, 3, "cases", 1.5),
        JobCost("score_gate", "", 3.5, None, None),
        JobCost("train_recognizer", "fold0-real-seed1", 60, 50.5, 700.5, 500, "steps", 12, "NVIDIA, a", 512),  # two processes
        JobCost("train_recognizer", "fold0-real-seed2", 50, 20, 600),
    ]


def test_the_table_has_what_was_measured_and_leaves_the_rest_empty(study, tmp_path):
    write_costs(job_costs(study), tmp_path / "costs.csv")
    with (tmp_path / "costs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == dict.fromkeys(rows[0], "") | {"rule": "score_gate", "seconds": "3.5"}
    assert rows[1]["gpu"] == "NVIDIA, a" and rows[1]["items"] == "500"


@pytest.mark.parametrize("content", ["", HEADER, HEADER + "1", "s\n-\n"])
def test_a_benchmark_that_was_cut_off_is_no_obstacle(study, content):
    (study / "benchmarks" / "score_gate.tsv").write_text(content)
    assert [cost.rule for cost in job_costs(study) if cost.seconds > 1] == ["train_recognizer"] * 2


def test_a_study_of_which_nothing_ran_has_no_costs(tmp_path):
    assert job_costs(tmp_path) == []
