"""Organ labels made by a program of the user, such as TotalSegmentator or lungmask, one shard of a source at a time.

The program runs once per case, without a shell, in a folder of its own that is removed afterwards. What it wrote is kept under
its final name only when it is complete, so an interrupted shard goes on with the next case. A case that fails is a row.
"""

import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freetumor.core.config import Config, OrganLabels
from freetumor.core.errors import UserError
from freetumor.core.files import read_json, sha256_file, sha256_json, write_json
from freetumor.core.labels import BACKGROUND
from freetumor.core.progress import Progress
from freetumor.core.provenance import write_provenance
from freetumor.core.seeding import shard_of
from freetumor.core.tables import ORGAN_LABELS, RAW_CASES, make_table, read_table, write_table
from freetumor.download.nifti_texts import copy_without_texts

VERSION_TIMEOUT = 120  # s; such programs load large libraries before they answer
PR_SET_PDEATHSIG = 1  # prctl(2)
LONGEST_WORDS = 160  # characters of the command's last words


def label_shard(config: Config, source: str, cases: Path, shard: int, output: Path, work: Path) -> None:
    """Run the command on all cases of a shard that lack one of its organs; write the table of what it made.

    Args:
        config: the study; ``organ_labels`` of the source says what to run.
        source: name of the source.
        cases: table of the raw cases of the whole source.
        shard: number of the shard, below ``shards`` of the source.
        output: table of ``core.tables.ORGAN_LABELS`` (CSV); the provenance is written beside it.
        work: folder of the label files; valid ones are kept.

    Raises:
        UserError: if the source has no command, or the command does not exist.
    """
    started = time.monotonic()
    settings = config.source(source)
    wanted = getattr(settings, "organ_labels", None)
    if wanted is None:
        raise UserError(f"sources.{source}.organ_labels: expected a command that makes organ labels")
    version = command_version(wanted, source)
    table = read_table(cases, RAW_CASES).sort_values("case_id")
    mine = table[[shard_of(case_id, settings.shards) == shard for case_id in table["case_id"]]].to_dict("records")
    progress = Progress(f"label organs of {source} {shard}", len(mine), "case")
    silent = getattr(settings, "identity", "as_is") == "keyed"  # its words may hold names out of the files
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for raw in mine:
        rows.append({"case_id": raw["case_id"], "version": version, **label_case(raw, wanted, version, work, silent)})
        progress.advance()
    failed = [row for row in rows if row["reason"]]
    print(f"{source}, shard {shard}: {sum(bool(row['path']) for row in rows)} labeled, {len(failed)} failed", flush=True)
    for row in failed[:3]:
        print(f"  {row['case_id']}: {row['reason']}", flush=True)
    write_provenance(output.with_suffix(".provenance.json"), started, wanted.model_dump(mode="json"), version=version)
    write_table(make_table(rows, ORGAN_LABELS), output, ORGAN_LABELS)


def label_case(raw: Mapping[str, Any], wanted: OrganLabels, version: str, work: Path, silent: bool = False) -> dict[str, str]:
    """Label one case, unless its valid label is there already, or its own files name all organs.

    Returns:
        ``path``, ``sha256`` and ``reason`` of ``core.tables.ORGAN_LABELS``.
    """
    nothing = {"path": "", "sha256": "", "reason": ""}
    own = {name for entry in json.loads(raw["labels"]) for name in entry["map"].values()}
    if own.issuperset(set(wanted.label_map.values()) - {BACKGROUND}):
        return nothing
    label, sidecar = work / f"{raw['case_id']}.nii.gz", work / f"{raw['case_id']}.json"
    try:
        key = sha256_json([_content(Path(raw["image"])), wanted.command, version])
    except OSError as error:
        return {**nothing, "reason": f"the image cannot be read ({error.strerror})"}
    if not _is_valid(label, sidecar, key):
        sidecar.unlink(missing_ok=True)
        label.unlink(missing_ok=True)
        reason = _make(Path(raw["image"]), wanted, label, silent)
        if reason:
            return {**nothing, "reason": reason}
        write_json(sidecar, {"key": key, "sha256": sha256_file(label)})
    return {**nothing, "path": label.as_posix(), "sha256": read_json(sidecar)["sha256"]}


def command_version(wanted: OrganLabels, source: str) -> str:
    """The first line that the configured version command prints; empty if none is configured.

    Raises:
        UserError: if a program is not installed or does not answer.
    """
    for key, text in (("command", wanted.command), ("version", wanted.version)):
        if text and shutil.which(shlex.split(text)[0]) is None:
            raise UserError(f"sources.{source}.organ_labels.{key}: the program '{shlex.split(text)[0]}' is not installed")
    if not wanted.version:
        return ""
    options = {"capture_output": True, "text": True, "check": True, "stdin": subprocess.DEVNULL}
    try:
        answer = subprocess.run(shlex.split(wanted.version), timeout=VERSION_TIMEOUT, **options)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UserError(f"sources.{source}.organ_labels.version: '{wanted.version}' failed ({type(error).__name__})") from error
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    return lines[0][:LONGEST_WORDS] if lines else ""


def _content(path: Path) -> str:
    """Hash of a file, or of all files of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return sha256_json([sha256_file(file) for file in files])


def _is_valid(label: Path, sidecar: Path, key: str) -> bool:
    """Whether a label of the same image, command and version is there, undamaged."""
    try:
        record = read_json(sidecar)
        return record["key"] == key and record["sha256"] == sha256_file(label)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(image: Path, wanted: OrganLabels, label: Path, silent: bool) -> str:
    """Run the command for one image and keep its label; return why there is none."""
    folder = label.with_name(f".{label.name}.work")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    made = folder / "output.nii.gz"
    try:
        names = {"image": str(image.absolute()), "output": str(made.absolute())}
        argv = [fill(word, names) for word in shlex.split(wanted.command)]
        reason = run_command(argv, folder, 60 * wanted.timeout, silent)
        if not reason and not made.is_file():
            reason = "the command left no output"
        if not reason:
            copy_without_texts(made, label)
    except ValueError as error:
        reason = f"the output of the command is unusable: {error}"
    except OSError as error:
        reason = f"the command cannot be run ({error.strerror})"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return reason


def fill(word: str, names: Mapping[str, str]) -> str:
    """Put paths in place of ``{image}`` and ``{output}``; other braces stay."""
    return re.sub(r"\{(image|output)\}", lambda match: names[match[1]], word)


def _die_with_parent() -> None:
    """Have the system kill this process when its parent is killed, which can no longer do it itself."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_command(argv: list[str], folder: Path, seconds: float, silent: bool = False) -> str:
    """Run a program and all that it starts for at most ``seconds``; return what went wrong, or nothing.

    Args:
        argv: program and arguments; no shell sees them.
        folder: where it runs and leaves its words.
        seconds: after them it is killed, with its children.
        silent: leave its words out of the answer.
    """
    words = folder / "words.txt"
    with words.open("wb") as stream:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"the command ran longer than {seconds / 60:g} min"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code == 0:
        return ""
    lines = [] if silent else words.read_text(errors="replace").split("\n")
    last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
    return f"the command ended with code {code}" + (f": {last[:LONGEST_WORDS]}" if last else "")
