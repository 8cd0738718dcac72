"""What a job asks for: enough for what was measured, more for more work, and known before anything heavy is loaded."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.needs_measuring import asked_for, read_measured
from benchmarks.needs_points import configuration
from freetumor.core import loads, scan_loads, settings, training_loads
from freetumor.core.known_costs import COSTS, cost_rows, costs
from freetumor.core.needs import GPU_MB, LEAST_MB, LOADS, MOST_MINUTES, Study, jobs_of, need_of
from freetumor.core.scans import Scans
from freetumor.download.sizes import study_of
from freetumor.evaluation import lesion_crops
from freetumor.synthesizer import cases, diffusion_training, gan, inference
from tests.conftest import REPOSITORY

MEASURED = read_measured()
SCANS = Scans(20, 5, 10, 15, native=40.0, stored=9.0, mean_native=30.0, mean_stored=7.0)
NAMES = {"fold": "0", "arm": "real", "seed": "1", "synthesizer": "made", "source": "made"}
TRAININGS = {
    "unet": {"name": "unet", "channels": [8, 16, 32]},
    "unet3d": {"name": "unet3d", "channels": [8]},
    "swin_unetr": {"name": "swin_unetr", "channels": [12]},
}
PAINTERS = {
    "difference": {"painter": {"kind": "difference"}, "gate": {"kind": "segmenter"}},
    "diffusion": {"painter": {"kind": "diffusion"}},
    "constant": {"painter": {"kind": "constant"}},
}


def made(scans=SCANS, **changes):
    """A study with these scans in every fold and source."""
    return Study(configuration(changes), lambda fold: scans, lambda source: scans)


def load(kind, study, **names):
    """Memory in all, and core-seconds, before any margin."""
    found = LOADS[kind](study, NAMES | names)
    return found.megabytes + found.computed, found.seconds


def training(network="unet", patch=32, batch=2, steps=50, width=1, **more):
    """A study that trains a segmenter and a recognizer so."""
    net = TRAININGS[network] | {"channels": [width * channels for channels in TRAININGS[network]["channels"]]}
    part = {"network": net, "training": {"steps": steps, "batch": batch, **more}}
    patches = {"presets": {"made": {"patch": [patch] * 3}}}
    return made(**patches, segmenter=part, recognition=part | {"arms": ["real"], "seeds": [1]})


def painting(kind, patch=32, draws=2, scans=SCANS, **synthesis):
    """A study that paints so."""
    settings = {"made": PAINTERS[kind]}
    patches = {"presets": {"made": {"patch": [patch] * 3}}}
    return made(scans, **patches, synthesizers=settings, synthesis={"lesions_per_case": draws, "shards": 4} | synthesis)


@pytest.mark.parametrize("row", MEASURED, ids=[f"{row['kind']}: {row['name']}" for row in MEASURED])
def test_a_job_asks_for_what_was_measured_and_for_not_much_more(row):
    asked, needed = asked_for(row), float(row["megabytes"])
    beside = costs()["memory", "Snakemake itself"]
    assert asked >= beside + 1.15 * needed
    assert asked == LEAST_MB or asked <= beside + 3 * needed


@pytest.mark.parametrize("row", MEASURED, ids=[f"{row['kind']}: {row['name']}" for row in MEASURED])
def test_no_job_that_was_measured_ran_for_half_of_its_time_limit(row):
    scans = Scans(**json.loads(row["scans"]))
    study = Study(configuration(json.loads(row["study"])), lambda fold: scans, lambda source: scans)
    need = need_of(row["kind"], study, json.loads(row["job"]))
    assert float(row["core_seconds"]) < need.minutes * 60 / 2
    assert float(row["core_seconds"]) < 2 * LOADS[row["kind"]](study, json.loads(row["job"])).seconds


def test_every_kind_of_job_was_measured_but_those_that_only_read_tables():
    unmeasured = {"read_cases", "read_banks", "read_fold"}
    assert {row["kind"] for row in MEASURED} == set(LOADS) - unmeasured


@given(
    st.sampled_from(sorted(TRAININGS)),
    st.integers(2, 4),
    st.integers(1, 6),
    st.integers(1, 500),
    st.integers(1, 3),
    st.sampled_from(["train_segmenter", "train_recognizer"]),
)
def test_a_training_needs_more_for_larger_patches_batches_networks_and_more_steps(network, size, batch, steps, width, kind):
    memory, seconds = load(kind, training(network, 32 * size, batch, steps, width))
    for more in (
        training(network, 32 * (size + 1), batch, steps, width),
        training(network, 32 * size, batch + 1, steps, width),
        training(network, 32 * size, batch, steps, width + 1),
        training(network, 32 * size, batch, steps + 500, width),
    ):
        larger, longer = load(kind, more)
        assert larger >= memory
        assert longer > seconds


@given(st.sampled_from(sorted(PAINTERS)), st.integers(1, 3), st.integers(1, 50), st.integers(1, 2000))
def test_painting_needs_more_for_larger_patches_and_more_lesions_and_canvases(kind, size, draws, canvases):
    scans = replace(SCANS, pool=canvases)
    memory, seconds = load("synthesize_shard", painting(kind, 32 * size, draws, scans))
    for more in (
        painting(kind, 32 * (size + 1), draws, scans),
        painting(kind, 32 * size, draws + 1, scans),
        painting(kind, 32 * size, draws, replace(scans, pool=canvases + 100)),
    ):
        larger, longer = load("synthesize_shard", more)
        assert larger >= memory
        assert longer >= seconds
    assert load("synthesize_shard", painting(kind, 32 * size, draws, scans, shards=8))[1] < seconds


@given(
    st.sampled_from(sorted(set(LOADS) - {"train_synthesizer"})),
    st.sampled_from(["train", "validation", "test", "pool"]),
    st.integers(1, 10_000),
    st.floats(1, 20),
)
def test_no_job_needs_less_for_more_or_larger_scans(kind, part, more, factor):
    few = load(kind, painting("difference"))
    many = load(kind, painting("difference", scans=replace(SCANS, **{part: getattr(SCANS, part) + more})))
    sizes = {name: factor * getattr(SCANS, name) for name in ("native", "stored", "mean_native", "mean_stored")}
    large = load(kind, painting("difference", scans=replace(SCANS, **sizes)))
    assert many >= few
    assert large[1] >= few[1]
    assert large[0] >= few[0]


def test_a_batch_in_parts_and_one_over_several_machines_hold_less_and_several_processes_together_more():
    whole, _ = load("train_segmenter", training(patch=96, batch=8))
    assert load("train_segmenter", training(patch=96, batch=8, accumulate=4))[0] < whole
    alone = made(presets={"made": {"patch": [96] * 3}}, segmenter={"training": {"batch": 8}})
    shared = made(
        compute={"device": "cuda", "gpus_per_job": 4},
        presets={"made": {"patch": [96] * 3}},
        segmenter={"training": {"batch": 8}},
    )
    assert load("train_segmenter", shared)[0] > load("train_segmenter", alone)[0]


def test_where_nothing_was_measured_a_job_asks_for_no_less_than_before_there_was_a_measurement():
    study = made(compute={"device": "cuda"}, synthesizers={"made": PAINTERS["difference"]})
    for kind, minutes in (("train_segmenter", 1440), ("train_synthesizer", 1440), ("synthesize_shard", 240), ("predict", 240)):
        need = need_of(kind, study, NAMES)
        assert (need.memory_mb >= GPU_MB, need.minutes) == (True, minutes)


def test_no_time_limit_is_longer_than_a_week():
    forever = training("swin_unetr", 96, 4, 300_000, 4)
    assert need_of("train_recognizer", forever, NAMES).minutes == MOST_MINUTES


@pytest.mark.parametrize("name", [None, "smoke", "phantom"])
def test_the_studies_for_a_laptop_fit_a_laptop(name):
    study = study_of(settings.load(REPOSITORY / "config.yaml", *([REPOSITORY / "studies" / f"{name}.yaml"] if name else [])))
    assert max(need.memory_mb for _, _, need in jobs_of(study)) < 3000


def test_the_networks_of_the_paper_ask_for_more_than_those_of_the_default_study():
    base = REPOSITORY / "config.yaml"
    default, paper = settings.load(base), settings.load(base, REPOSITORY / "studies" / "freetumor.yaml")
    on_cpu = paper.model_copy(update={"compute": default.compute})
    small, large = (
        need_of("train_recognizer", Study(config, lambda fold: SCANS, lambda source: SCANS), NAMES)
        for config in (default, on_cpu)
    )
    assert large.memory_mb > 5 * small.memory_mb
    assert large.minutes == MOST_MINUTES > small.minutes


def test_what_is_taken_from_the_library_is_what_the_library_does():
    assert loads.OPEN == cases.OPEN
    assert (loads.WINDOW, loads.WHOLE * 1e6) == (inference.WINDOW, inference.WHOLE)
    assert (training_loads.VALIDATED, training_loads.CALIBRATED) == (
        diffusion_training.VALIDATION,
        diffusion_training.CALIBRATION,
    )
    assert (training_loads.TIMES, training_loads.SHOWN) == gan.CALIBRATION
    assert scan_loads.MEASURED == lesion_crops.MOST
    rule = (REPOSITORY / "rules" / "preprocessing.smk").read_text().partition("rule merge_volumes")[0]
    assert f"    threads: {scan_loads.WORKERS}\n" in rule


def test_every_cost_has_an_origin_and_is_used():
    rows = cost_rows()
    assert len({(row["stage"], row["what"]) for row in rows}) == len(rows)
    assert all(row["origin"].startswith(("measured", "assumed", "computed")) for row in rows)
    library = "".join(path.read_text(encoding="utf-8") for path in COSTS.parents[1].rglob("*.py"))
    names = {row["what"] for row in rows if row["stage"] in {"memory", "jobs", "scans", "training"}}
    dynamic = {name for name in names if name.startswith("start of ")}
    assert [name for name in sorted(names - dynamic) if f'"{name}"' not in library] == []


def test_nothing_heavy_is_loaded():
    code = (
        "import sys; from freetumor.core import needs; from freetumor.download import sizes;"
        "print([name for name in ('torch', 'numpy', 'pandas', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    environment = {"PYTHONPATH": str(REPOSITORY / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
