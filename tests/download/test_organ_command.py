"""Organ labels by a program of the user: a small stand-in labels, fails, hangs, lies and is interrupted."""

import gzip
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from freetumor.core.config import OrganLabels
from freetumor.core.errors import UserError
from freetumor.core.files import read_json
from freetumor.core.tables import ORGAN_LABELS, QUARANTINE, VOLUMES, read_table
from freetumor.download.nifti_texts import blank_texts
from freetumor.download.organ_command import command_version, label_case, label_shard, run_command
from freetumor.preprocessing.store import read_array
from freetumor.preprocessing.volumes import preprocess_shard
from tests.conftest import REPOSITORY
from tests.preprocessing.samples import make_ct, nifti_bytes, raw_case, study, write_cases, write_nifti

STAND_IN = '''
"""Everything above a threshold is organ 5; what goes wrong depends on the name of the image."""
import gzip, os, signal, struct, sys
image, output = sys.argv[1:]
name = os.path.basename(image)
with open(os.path.join(os.path.dirname(image), "calls.txt"), "a") as calls:
    calls.write(name + "\\n")
print("reading", name)
if "fails" in name:
    sys.exit("out of memory, sorry")
if "killed" in name:
    open(output, "wb").write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
if "nothing" in name:
    sys.exit()
data = bytearray(gzip.open(image).read())
voxels = struct.unpack(f"<{(len(data) - 352) // 2}h", data[352:])
code = 6 if "value" in name else 5
label = [code if 60 < value < 140 else 0 for value in voxels]
if "grid" in name:
    data[42:44] = struct.pack("<h", struct.unpack("<h", data[42:44])[0] - 1)
    label = label[: len(label) // 38 * 37]
packed = gzip.compress(bytes(data[:352]) + struct.pack(f"<{len(label)}h", *label), 1)
open(output, "wb").write(packed[:-20] if "half" in name else packed)
open("stray", "w").close()
'''
COMMAND = "{image} {output}"
MAP = {5: "liver", 0: "background"}


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "stand in.py"
    path.write_text(STAND_IN)
    return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))}"


def settings(program: str, **changes) -> dict:
    return {"command": f"{program} {COMMAND}", "label_map": MAP, **changes}


def make_cases(folder: Path, *names: str) -> list[dict]:
    """Cases without labels of their own."""
    image, _ = make_ct()
    return [raw_case(name, write_nifti(folder / "raw" / f"{name}.nii.gz", image), labeled=False) for name in names]


def calls(folder: Path) -> list[str]:
    path = folder / "raw" / "calls.txt"
    return [name.removesuffix(".nii.gz") for name in path.read_text().split()] if path.exists() else []


def run(folder: Path, rows: list[dict], wanted: dict, **source):
    config = study(source={"organ_labels": wanted, **source})
    cases = write_cases(folder / "cases.csv", rows)
    label_shard(config, "own", cases, 0, folder / "labels" / "0.csv", folder / "labels")
    return config, read_table(folder / "labels" / "0.csv", ORGAN_LABELS).set_index("case_id")


def test_made_labels_reach_the_volumes_and_failures_the_quarantine(tmp_path, program):
    names = ["fails", "good", "half", "killed", "nothing", "other-grid", "other-value"]
    rows = make_cases(tmp_path, *names)
    config, made = run(tmp_path, rows, settings(program))
    reasons = made["reason"].to_dict()
    assert reasons == {
        "fails": "the command ended with code 1: out of memory, sorry",
        "good": "",
        "half": "the output of the command is unusable: its gzip stream is damaged",
        "killed": "the command ended with code -9: reading killed.nii.gz",
        "nothing": "the command left no output",
        "other-grid": "",
        "other-value": "",
    }
    assert sorted(path.name for path in (tmp_path / "labels").iterdir() if path.suffix == ".gz") == [
        "good.nii.gz",
        "other-grid.nii.gz",
        "other-value.nii.gz",
    ]
    assert not [path.name for path in (tmp_path / "labels").iterdir() if path.name.startswith(".")]
    tables = tmp_path / "volumes.parquet", tmp_path / "quarantine.tsv"
    preprocess_shard(config, "own", tmp_path / "cases.csv", 0, *tables, tmp_path / "store", 1, tmp_path / "labels" / "0.csv")
    refused = read_table(tables[1], QUARANTINE).set_index("case_id")["code"].to_dict()
    wrong = {"other-grid": "label_grid", "other-value": "label_unknown_value"}
    assert refused == {name: wrong.get(name, "organ_command") for name in names if name != "good"}
    (volume,) = read_table(tables[0], VOLUMES).to_dict("records")
    assert (volume["case_id"], volume["organs"], volume["tumors"], volume["labeled"]) == ("good", "liver", "", False)
    image, _ = make_ct()
    np.testing.assert_array_equal(read_array(volume["native"]) > 0, (image > 60) & (image < 140))


def test_an_interrupted_shard_goes_on_and_a_finished_one_runs_nothing(tmp_path, program):
    rows = make_cases(tmp_path, "a", "b", "c")
    wanted = OrganLabels(**settings(program))
    (tmp_path / "labels").mkdir()
    label_case(rows[0], wanted, "", tmp_path / "labels")
    left = tmp_path / "labels" / ".b.nii.gz.work"
    left.mkdir()
    (left / "output.nii.gz").write_bytes(b"half")
    run(tmp_path, rows, settings(program))
    assert calls(tmp_path) == ["a", "b", "c"]
    before = (tmp_path / "labels" / "0.csv").read_bytes()
    run(tmp_path, rows, settings(program))
    assert calls(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / "labels" / "0.csv").read_bytes() == before
    (tmp_path / "labels" / "b.nii.gz").write_bytes(b"damaged")
    write_nifti(tmp_path / "raw" / "c.nii.gz", make_ct(1)[0])
    run(tmp_path, rows, settings(program))
    assert calls(tmp_path)[3:] == ["b", "c"]
    run(tmp_path, rows, settings(f"{program} "))
    assert calls(tmp_path)[5:] == ["a", "b", "c"]


def test_organs_that_a_case_names_itself_are_left_to_it(tmp_path, program):
    image, label = make_ct()
    (row,) = make_cases(tmp_path, "case")
    own = write_nifti(tmp_path / "own.nii.gz", np.where(label == 3, 0, label).astype(np.uint8))
    row["labeled"] = True
    row["labels"] = json.dumps([{"path": str(own), "map": {"1": "liver", "2": "liver_tumor"}}])
    config, made = run(tmp_path, [row], settings(program))
    assert calls(tmp_path) == []
    assert made.loc["case", ["path", "reason"]].tolist() == ["", ""]
    both = settings(program, label_map={5: "kidney", 0: "background"})
    config, made = run(tmp_path, [row], both)
    tables = tmp_path / "volumes.parquet", tmp_path / "quarantine.tsv"
    preprocess_shard(config, "own", tmp_path / "cases.csv", 0, *tables, tmp_path / "store", 1, tmp_path / "labels" / "0.csv")
    (volume,) = read_table(tables[0], VOLUMES).to_dict("records")
    native, names = read_array(volume["native"]), json.loads(volume["names"])
    codes = {name: int(code) for code, name in names.items()}
    np.testing.assert_array_equal(native == codes["liver"], label == 1)
    np.testing.assert_array_equal(native == codes["liver_tumor"], label == 2)
    np.testing.assert_array_equal(native == codes["kidney"], (image > 60) & (image < 140) & (label != 1) & (label != 2))


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path):
    started = time.monotonic()
    script = f"(sleep 60; touch {tmp_path}/late) & echo $! > child; sleep 60"
    reason = run_command(["sh", "-c", script], tmp_path, 1.5)
    assert reason == "the command ran longer than 0.025 min"
    assert time.monotonic() - started < 30
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    for _ in range(100):  # until the system has buried it
        if not child.exists() or child.read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child lives on")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not offer it")
def test_a_program_does_not_outlive_a_job_that_is_killed(tmp_path):
    program = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    call = f"run_command([{sys.executable!r}, '-c', {program!r}], pathlib.Path({str(tmp_path)!r}), 60)"
    code = f"import pathlib; from freetumor.download.organ_command import run_command; {call}"
    job = subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": str(REPOSITORY / "scripts")})
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    job.kill()
    job.wait()
    process = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    _until(lambda: not process.exists() or process.read_text().split()[2] == "Z")


def _until(happened):
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_shell_sees_the_command(tmp_path):
    (row,) = make_cases(tmp_path, "case")
    wanted = OrganLabels(command="cp {image} {output} ; touch $HOME/x && `touch y`", label_map=MAP)
    reason = label_case(row, wanted, "", tmp_path)["reason"]
    assert reason.startswith("the command ended with code 1")  # cp does not know what ';' is
    strange = tmp_path / "raw" / "$(touch z); {output} 'x.nii.gz"
    Path(row["image"]).rename(strange)
    wanted = OrganLabels(command="cp {image} {output}", label_map=MAP)
    made = label_case({**row, "image": str(strange)}, wanted, "", tmp_path)
    assert made["reason"] == ""
    assert gzip.decompress(Path(made["path"]).read_bytes())[352:] == gzip.decompress(strange.read_bytes())[352:]


def test_words_of_the_program_are_left_out_where_identities_are_keyed(tmp_path, program):
    (row,) = make_cases(tmp_path, "fails")
    wanted = OrganLabels(**settings(program))
    assert label_case(row, wanted, "", tmp_path, silent=True)["reason"] == "the command ended with code 1"


def test_what_made_the_labels_is_recorded(tmp_path, program):
    version = f"{shlex.quote(sys.executable)} -c \"print('Stand-in 1.2'); print('more')\""
    _, made = run(tmp_path, make_cases(tmp_path, "good"), settings(program, version=version))
    assert made.loc["good", "version"] == "Stand-in 1.2"
    assert len(made.loc["good", "sha256"]) == 64
    record = read_json(tmp_path / "labels" / "0.provenance.json")
    assert record["version"] == "Stand-in 1.2"
    assert record["settings"]["command"].endswith(COMMAND)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"command": "no-such-program {image} {output}"},
            "organ_labels.command: the program 'no-such-program'",
        ),
        ({"version": "no-such-program"}, "organ_labels.version: the program 'no-such-program'"),
        ({"version": "false"}, "organ_labels.version: 'false' failed"),
    ],
)
def test_a_program_that_is_not_there_stops_before_any_case(changes, message):
    with pytest.raises(UserError, match=message):
        command_version(OrganLabels(**({"command": "true {image} {output}", "label_map": MAP} | changes)), "own")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": "tool {image}"}, "does not contain {output}"),
        ({"command": "tool '{image} {output}"}, "is not a command line"),
        ({"label_map": {1: "liver_tumor"}}, "expected organs"),
        ({"label_map": {}}, "at least 1 item"),
        ({"timeout": 0}, "greater than 0"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        OrganLabels(**({"command": f"tool {COMMAND}", "label_map": MAP} | changes))


def test_blanking_keeps_geometry_and_voxels_and_nothing_else():
    image, _ = make_ct()
    data = nifti_bytes(image)
    named = bytearray(data)
    for start, text in ((14, b"SECRET"), (148, b"SECRET scan"), (228, b"SECRET.txt"), (328, b"SECRET")):
        named[start : start + len(text)] = text
    plain = bytearray(data)
    blank_texts(plain)
    blank_texts(named)
    assert named == plain
    assert bytes(plain[40:148]) == bytes(data[40:148])
    assert bytes(plain[252:328]) == bytes(data[252:328])
    assert bytes(plain[344:]) == bytes(data[344:])
    for damaged in (b"", b"\x5c\1\0\0", b"<html>" * 100, data[:350]):
        with pytest.raises(ValueError, match=r"it is no NIfTI|it ends|its voxels"):
            blank_texts(bytearray(damaged))
