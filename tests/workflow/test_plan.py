"""Planning is quick, jobs ask for what their study needs, and a run does again exactly what has changed."""

import os
import re
import subprocess
import sys

import pytest

from tests.workflow.checkout import ENVIRONMENT, TINY, Checkout

pytestmark = pytest.mark.workflow
LARGE = TINY.replace("tiny", "large").replace("unlabeled: 1", "unlabeled: 40000").replace("[4, 8]", "[128, 256]")
LARGE = LARGE.replace("patch: [16, 16, 16]", "patch: [96, 96, 96]").replace("steps: 6, batch: 2", "steps: 60000, batch: 2")


def test_planning_imports_nothing_heavy(fresh):
    command = [sys.executable, "-X", "importtime", *fresh.command("--dry-run", study=None)[1:]]
    done = subprocess.run(command, cwd=fresh.folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    imported = [line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = set(imported[imported.index("freetumor") :])  # before it: Snakemake with its plugins, of which one takes pandas
    assert "freetumor.core.config" in imported
    assert not imported & {"torch", "monai", "pandas", "matplotlib", "SimpleITK", "scipy"}


def test_the_workflow_has_no_lint(fresh):
    _, text = fresh.run("--lint", study=None)
    assert "Congratulations" in text


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A checkout whose rules have no message: a plan then tells what each job asks for."""
    checkout = Checkout(tmp_path_factory.mktemp("told"))
    for path in (checkout.folder / "rules").glob("*.smk"):
        path.write_text(re.sub(r"^    message:\n.*\n", "", path.read_text(), flags=re.MULTILINE))
    return checkout


def asked(checkout, *arguments, study="tiny"):
    """Memory and minutes that the jobs of a plan ask for: the most of each rule."""
    _, text = checkout.run("--dry-run", *arguments, study=study)
    found = {}
    for rule, resources in re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", text, re.MULTILINE):
        numbers = [re.search(rf"\b{name}=(\d+)", resources) for name in ("mem_mb", "runtime")]
        if all(numbers):
            values = [int(number[1]) for number in numbers]
            found[rule] = [max(pair) for pair in zip(values, found.get(rule, values), strict=True)]
    return found


def test_every_job_asks_for_memory_and_time_and_a_second_attempt_for_twice_as_much(told):
    first, second = asked(told), asked(told, "--attempt", "2")
    del first["download_source"], second["download_source"]  # three days for what comes from the network, at every attempt
    assert len(first) > 30
    assert {"preprocess_shard", "train_segmenter", "train_recognizer", "predict", "merge_scores"} <= set(first)
    assert second == {rule: [2 * number for number in numbers] for rule, numbers in first.items()}


def test_jobs_ask_for_what_their_study_needs(told):
    told.write_study("large", LARGE)
    small, large = asked(told), asked(told, study="large")
    assert all(large[rule][0] > 1.5 * small[rule][0] for rule in ("train_segmenter", "train_recognizer", "assign_folds"))
    assert large["predict"][0] > small["predict"][0]
    assert large["train_segmenter"][1] > small["train_segmenter"][1]
    assert large["plot_sizes"] == small["plot_sizes"]


def test_every_stage_is_a_target(fresh):
    stages = ["download", "preprocess", "synthesizer", "synthesis", "recognition", "evaluation", "figures", "report", "export"]
    planned = fresh.planned(*stages)
    assert {stage: planned.get(stage) for stage in stages} == dict.fromkeys(stages, 1)
    _, text = fresh.run(*stages, "--rulegraph", "dot")  # rules by number, then the arrows between them
    numbers = {name: number for number, name in re.findall(r'(\d+)\[label = "(\w+)"', text)}
    needed = set(re.findall(r"-> (\d+)", text))
    assert all(numbers[stage] in needed for stage in stages)


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_a_plan_of_other_settings_leaves_the_results_and_their_settings_alone(finished):
    before = finished.content()
    path = finished.folder / "studies" / "tiny.yaml"
    text = path.read_text()
    path.write_text(text.replace("resamples: 100", "resamples: 200"))
    planned = finished.planned()
    path.write_text(text)
    assert planned
    assert finished.content() == before


def test_touching_every_file_reruns_nothing(finished):
    for path in [*finished.folder.rglob("scripts/**/*.py"), *finished.folder.glob("rules/*"), finished.folder / "Snakefile"]:
        os.utime(path)
    assert finished.planned() == {}


REPORT = {"build_checklist": 1, "build_report": 1, "finish_study": 1, "all": 1}
AFTER_SCORES = REPORT | dict.fromkeys(
    [
        "merge_scores",
        "analyze_calibration",
        "analyze_comparisons",
        "analyze_detection",
        "collect_failures",
        "plot_boxes",
        "plot_early",
        "plot_overview",
        "plot_seeds",
        "build_cards",
        "compare_claims",
        "plot_calibration",
        "plot_differences",
        "plot_failures",
        "plot_froc",
        "plot_sizes",
    ],
    1,
)
AFTER_TRAINING = {"predict": 2, "score_cases": 2, "plot_training": 1, **AFTER_SCORES}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("figures/gate.py", {"plot_gate": 1, **REPORT}),
        ("evaluation/surface.py", {"score_cases": 2, **AFTER_SCORES}),
        ("recognition/augmentation.py", {"train_recognizer": 2, **AFTER_TRAINING}),
        ("synthesis/export.py", {}),
    ],
)
def test_editing_a_module_reruns_exactly_the_rules_that_use_it(finished, module, rules):
    path = finished.folder / "scripts" / "freetumor" / module
    text = path.read_text()
    path.write_text(text + "\nEDITED = True\n")
    planned = finished.planned()
    path.write_text(text)
    assert planned == rules
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        (
            "study: tiny",
            "study: tiny\ntitle: Another",
            {"build_cards": 1, **REPORT},
        ),
        ("  seeds: [1]", "  seeds: [1]\n  overlap: 0.5", {"predict": 2, "score_cases": 2, **AFTER_SCORES}),
    ],
)
def test_a_setting_reruns_exactly_the_rules_that_depend_on_it(finished, old, new, rules):
    path = finished.folder / "studies" / "tiny.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    planned = finished.planned()
    path.write_text(text)
    assert planned == rules
    assert finished.planned() == {}


def test_another_level_of_confidence_compares_again_but_scores_nothing(finished):
    path = finished.folder / "studies" / "tiny.yaml"
    text = path.read_text()
    path.write_text(text.replace("resamples: 100", "resamples: 100, confidence: 0.9"))
    planned = finished.planned()
    path.write_text(text)
    assert planned["analyze_comparisons"] == planned["build_report"] == 1
    assert not {"predict", "score_cases", "merge_scores", "measure_lesions"} & set(planned)
