"""The pre-flight: every source told at once, obstacles in one line, estimates that add up."""

import json
import math
import shutil
import subprocess
import sys

import pytest

from freetumor.core import settings
from freetumor.core.config import PublicSource
from freetumor.core.errors import UserError
from freetumor.core.known_costs import costs
from freetumor.download import idc, preflight, public
from freetumor.download.catalog import catalog
from freetumor.download.estimates import stages
from freetumor.download.preflight import Machine, check_study
from freetumor.download.preflight_sources import FETCH, PACKAGE, READY, WRONG, inspect_source
from freetumor.download.transfer.ledger import Entry, Ledger
from tests.conftest import REPOSITORY

SPACIOUS = shutil._ntuple_diskusage(10**16, 0, 10**16)


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with room, without GPU, in an empty folder, with an index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FREETUMOR_DATA", raising=False)
    (tmp_path / "index.parquet").write_bytes(b"")
    monkeypatch.setenv(idc.INDEX_VARIABLE, str(tmp_path / "index.parquet"))
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: SPACIOUS)
    monkeypatch.setattr(preflight, "_gpus", lambda: ())


def study(*names, **changes):
    raw = settings.read_yaml(REPOSITORY / "config.yaml")
    sources = [{"name": name, "kind": "public"} if isinstance(name, str) else name for name in names]
    return settings.validate(settings.merge(raw, ({"sources": sources} if sources else {}) | changes))


def refused(config):
    with pytest.raises(UserError) as caught:
        check_study(config)
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.report


def test_the_default_study_can_start_anywhere():
    text = check_study(study())
    assert "made in code" in text
    assert "fetch" not in text.partition("\n\n")[2].splitlines()[2]


def test_a_gated_source_stops_the_study_and_the_report_tells_page_and_folder():
    reason, text = refused(study("word", "lits"))
    assert reason.startswith("sources: word must be fetched by hand first")
    assert "github.com/HiLab-git/WORD → results/downloads/word" in text
    assert "lits" in text
    assert "28.7 GB" in text


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not read")


def test_what_was_put_there_is_counted_and_what_is_missing_is_told(tmp_path):
    folder, source = tmp_path / "results" / "downloads" / "word", PublicSource(name="word", kind="public")
    put(folder, "readme.txt")
    state = inspect_source(source)
    assert state.state == WRONG
    assert "nothing in results/downloads/word matches 'WORD-V0.1.0/imagesTr/*.nii.gz'" in state.note
    put(folder, *(f"WORD-V0.1.0/{kind}/word_{number:04d}.nii.gz" for kind in ("imagesTr", "labelsTr") for number in range(50)))
    state = inspect_source(source)
    assert (state.state, state.volumes) == (READY, 50)
    assert "the catalog states 100 volumes, 50 were found" in state.note
    put(folder, *(f"WORD-V0.1.0/{kind}/word_{number:04d}.nii.gz" for kind in ("imagesTr", "labelsTr") for number in range(100)))
    state = inspect_source(source)
    assert (state.state, state.volumes) == (READY, 100)
    assert "the catalog states" not in state.note


def test_what_was_downloaded_before_is_ready_as_long_as_limit_and_files_are_the_same(tmp_path):
    source = PublicSource(name="lits", kind="public", limit=2)
    table = tmp_path / "results" / "data" / "lits"
    put(table, "cases.csv")
    (table / "cases.csv").write_text("case_id\na\nb\n")
    assert inspect_source(source).state == FETCH
    (table / public.MARK).write_text(json.dumps({"mark": public.mark_of(source)}))
    assert inspect_source(source).state == FETCH  # its files were removed
    put(tmp_path / "results" / "downloads" / "lits", "Task03_Liver.tar")
    state = inspect_source(source)
    assert (state.state, state.volumes, state.fetch) == (READY, 2, 0)
    assert inspect_source(source.model_copy(update={"limit": 3})).state == FETCH


def test_what_an_earlier_job_fetched_is_not_fetched_again(tmp_path):
    folder = tmp_path / "results" / "downloads"
    row = Entry("a", "", "2025-01-31T12:00:00Z", 10**9, "0", "unverified")
    Ledger(folder / "c4kc_kits" / "ledger" / "p1.tsv").add(row)
    Ledger(folder / "c4kc_kits" / "ledger" / "p2.tsv").add(row)
    Ledger(folder / "lits" / "ledger.tsv").add(row)
    whole = catalog()["c4kc_kits"].gigabytes
    assert inspect_source(PublicSource(name="c4kc_kits", kind="public")).fetch == pytest.approx(whole - 2)
    assert inspect_source(PublicSource(name="lits", kind="public")).fetch == pytest.approx(27.7)


def test_an_offline_study_does_not_start_if_nothing_of_a_source_is_there(tmp_path):
    offline = study("lits", "msd_colon", downloads={"offline": True})
    assert refused(offline)[0] == "sources: lits, msd_colon must be fetched first, but downloads.offline is true"
    put(tmp_path / "results" / "downloads" / "lits", "Task03_Liver.tar")
    assert refused(offline)[0].startswith("sources: msd_colon must")


def test_a_driver_that_hangs_shows_no_gpu(monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.undo()
    monkeypatch.setattr(preflight.shutil, "which", lambda name: name)
    monkeypatch.setattr(preflight.subprocess, "run", hang)
    assert preflight.inspect_machine().gpus == ()


def test_a_limit_reduces_what_is_fetched_where_patients_can_be_told_apart():
    entry = catalog()["c4kc_kits"]
    state = inspect_source(PublicSource(name="c4kc_kits", kind="public", limit=21))
    assert (state.state, state.volumes) == (FETCH, 21)
    assert state.fetch == pytest.approx(entry.gigabytes / 10)
    whole = inspect_source(PublicSource(name="lits", kind="public", limit=13))  # one archive
    assert (whole.volumes, whole.fetch, whole.unpacked) == (13, 28.7, 28.7)


def test_sources_of_the_commons_need_the_index(monkeypatch):
    monkeypatch.setenv(idc.INDEX_VARIABLE, "none.parquet")
    state = inspect_source(PublicSource(name="c4kc_kits", kind="public"))
    assert (state.state, state.volumes) == (PACKAGE, 210)
    assert "none.parquet not found" in refused(study("c4kc_kits"))[0]


def test_a_mistake_in_a_source_is_told_beside_the_others():
    wrong = {"name": "mine", "kind": "folder", "root": "nowhere", "images": "*.nii.gz"}
    reason, text = refused(study("lits", wrong))
    assert "sources.mine.root" in reason
    assert "lits" in text
    assert inspect_source(study(wrong).sources[0]).state == WRONG


def test_files_of_a_folder_are_counted(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    mine = {"name": "mine", "kind": "folder", "root": str(tmp_path), "images": "*.nii.gz"}
    assert inspect_source(study(mine).sources[0]).volumes == 3


def test_a_missing_gpu_is_warned_of_and_a_full_disk_stops_the_study(monkeypatch):
    assert "this machine shows no GPU" in check_study(study("lits", compute={"device": "cuda"}))
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 0, 10**10))
    reason, _ = refused(study("lits"))
    assert "GB are needed, 10.0 GB are free" in reason


def test_organs_without_masks_are_warned_of_unless_a_program_makes_them():
    labels = {"command": "tool {image} {output}", "label_map": {1: "kidney"}}
    assert "no masks of kidney in lits: there taught as background" in check_study(study("lits"))
    assert "no masks" not in check_study(study({"name": "lits", "kind": "public", "organ_labels": labels}))


def test_a_program_that_is_not_installed_is_named_before_anything_is_fetched():
    def told(command):
        labels = {"command": f"{command} {{image}} {{output}}", "label_map": {1: "kidney"}}
        return "it is to label the organs of lits" in check_study(
            study({"name": "lits", "kind": "public", "organ_labels": labels})
        )

    assert told("no_such_program")
    assert not told(sys.executable)


def test_sizes_that_nobody_states_are_named():
    assert "bytes to fetch not stated, so not in the estimates: msd_spleen" in check_study(study("lits", "msd_spleen"))


def test_estimates_are_proportional_to_volumes_and_bytes():
    config, rate = study("lits"), 100.0
    one = {stage.name: stage for stage in stages(config, 100, 10, 50.0, 25.0, rate)}
    two = {stage.name: stage for stage in stages(config, 200, 20, 100.0, 50.0, rate)}
    assert one["download"].seconds == pytest.approx(50e9 / 100e6)
    assert one["download"].gigabytes == 75.0
    for name in ("download", "preprocessing", "synthesis"):
        assert two[name].gigabytes == pytest.approx(2 * one[name].gigabytes)
    assert one["preprocessing"].seconds == pytest.approx(100 * costs()["preprocessing", "size of a scan"] * 0.025)
    assert one["recognition"] == two["recognition"]


def test_what_was_not_measured_is_not_estimated():
    slow = stages(study("lits", compute={"device": "cuda"}), 100, 10, 0.0, 0.0, 30.0)
    assert {stage.name for stage in slow if stage.seconds is None} == {"synthesizer", "synthesis", "recognition"}


def test_little_shared_memory_is_warned_of_where_processes_share_a_training():
    def warned(shared, **compute):
        config = study("lits", compute=compute)
        states = [inspect_source(source) for source in config.sources]
        return any("/dev/shm" in text for text in preflight.warnings_of(config, states, Machine(2, 8.0, shared, ())))

    assert warned(0.06, gpus_per_job=2)
    assert not warned(0.06)  # patches come through pipes
    assert not warned(0.06, gpus_per_job=2, device="cpu")  # so do gradients
    assert not warned(8.0, gpus_per_job=2)
    assert not warned(math.inf, gpus_per_job=2)  # a system without


def test_the_script_ends_with_2_and_one_line_if_the_study_cannot_start(tmp_path):
    (tmp_path / "gated.yaml").write_text("sources: [{name: word, kind: public}]\n")
    script = [sys.executable, str(REPOSITORY / "scripts" / "check_study.py"), str(REPOSITORY / "config.yaml")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*script, str(tmp_path / "gated.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "fetch by hand" in done.stdout


def test_nothing_heavy_is_loaded():
    code = (
        "import sys; from freetumor.download import preflight, preflight_report, public;"
        "print([name for name in ('torch', 'pandas', 'scipy', 'SimpleITK', 'nibabel', 'pyarrow') if name in sys.modules])"
    )
    environment = {"PYTHONPATH": str(REPOSITORY / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
