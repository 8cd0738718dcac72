"""The processes whose memory and time are measured, and the table of what was measured."""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from freetumor.core import settings
from freetumor.core.needs import Study, need_of
from freetumor.core.scans import Scans

from .needs_cases import DRAWS
from .needs_commands import COMMANDS, REGIONS
from .needs_points import Point, configuration, points

REPOSITORY = Path(__file__).resolve().parent.parent
MEASURED = Path(__file__).with_name("needs.csv")
COLUMNS = ("kind", "name", "megabytes", "core_seconds", "job", "scans", "study")
SHARE_KEPT = 0.8  # of a made-up scan in air, with the margin of the preset
PARTS = {"t": "train", "v": "validation", "e": "test", "p": "pool"}
# A child begins with the peak of whoever starts it, so that one is started that holds nothing and starts the job.
LAUNCHER = """
import os, sys, time
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
most, done = 0, 0
while not done:
    done, status, used = os.wait4(pid, os.WNOHANG)
    total, todo = 0, [] if done else [pid]
    while todo:
        one = todo.pop()
        try:
            with open(f"/proc/{one}/statm") as stream:
                total += int(stream.read().split()[1])
            with open(f"/proc/{one}/task/{one}/children") as stream:
                todo += map(int, stream.read().split())
        except OSError:
            pass
    most = max(most, total * os.sysconf("SC_PAGE_SIZE") / 1e6, used.ru_maxrss * 1.024e-3 if done else 0)
    time.sleep(0.02)
print(most, used.ru_utime + used.ru_stime, os.waitstatus_to_exitcode(status))
"""


def main(description: str, arguments: Sequence[str] | None = None) -> None:
    """Measure the points that are asked for, keep what was measured, and print it beside what is asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", help="kinds of jobs (default: all)")
    parser.add_argument("--names", nargs="*", help="points whose name contains one of these (default: all)")
    parser.add_argument("--list", action="store_true", help="measure nothing, say what was measured last")
    parser.add_argument("--page", action="store_true", help="measure nothing, print the tables of docs/explanation/scale.md")
    parser.add_argument("--output", type=Path, default=MEASURED, help="table that is kept (CSV)")
    options = parser.parse_args(arguments)
    if options.page:
        from .needs_page import tables  # which reads what is measured here

        print(tables())
        return
    kept = {(row["kind"], row["name"]): row for row in read_measured(options.output)}
    for point in points():
        if (options.kinds and point.kind not in options.kinds) or not any(n in point.name for n in options.names or [""]):
            continue
        if not options.list:
            kept[point.kind, point.name] = measure(point)
            rows = [kept[key] for key in ((each.kind, each.name) for each in points()) if key in kept]
            write_measured(rows, options.output)
        if row := kept.get((point.kind, point.name)):
            asked = asked_for(row)
            share = asked / float(row["megabytes"])
            print(f"{point.kind}: {point.name}: {row['megabytes']} MB, asks for {asked} ({share:.2f}), {row['core_seconds']} s")
            sys.stdout.flush()


def read_measured(path: Path = MEASURED) -> list[dict[str, str]]:
    """Rows of the table of what was measured."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_measured(rows: Sequence[dict], path: Path) -> None:
    """Write the table."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def study_of_row(row: dict[str, str]) -> Study:
    """The study of a measured job, and the scans that it was measured on."""
    scans = Scans(**json.loads(row["scans"]))
    return Study(configuration(json.loads(row["study"])), lambda fold: scans, lambda source: scans)


def asked_for(row: dict[str, str]) -> int:
    """MB that the workflow asks for, for a measured job."""
    return need_of(row["kind"], study_of_row(row), json.loads(row["job"])).memory_mb


def measure(point: Point) -> dict[str, str | float]:
    """Run the job of a point; a row of the table."""
    config = configuration(point.study)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings.save(config, folder / "config.yaml")
        command = COMMANDS[point.kind](point, config, folder)
        megabytes, seconds = run(command, folder)
    return {
        "kind": point.kind,
        "name": point.name,
        "megabytes": round(megabytes),
        "core_seconds": round(seconds, 1),
        "job": json.dumps(point.job),
        "scans": json.dumps({name: value for name, value in asdict(scans_of(point)).items() if value}),
        "study": json.dumps(point.study),
    }


def run(command: Sequence[str | Path], folder: Path) -> tuple[float, float]:
    """Greatest memory in MB and core-seconds of a script.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    words = [sys.executable, str(REPOSITORY / "scripts" / command[0]), *map(str, command[1:])]
    with (folder / "said.txt").open("w+") as said:
        starter = [sys.executable, "-S", "-c", LAUNCHER, *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(starter, stdout=subprocess.PIPE, stderr=said, text=True, check=True, env=environment, cwd=folder)
        megabytes, seconds, status = done.stdout.splitlines()[-1].split()
        said.seek(0)
        if int(status):
            raise RuntimeError(f"{command[0]} ended with {status}: {said.read()[-2000:]}")
    return float(megabytes), float(seconds)


def scans_of(point: Point) -> Scans:
    """What the workflow would know of the scans of a point."""
    if point.kind == "merge_manifests":
        return Scans(pool=point.count // DRAWS)
    if point.kind == "read_scores":
        return Scans(test=point.count // 3, validation=point.count // 3)
    native, stored = (round(shape[0] * shape[1] * shape[2] / 1e6, 3) for shape in (point.native or point.stored, point.stored))
    if point.kind == "preprocess_shard":
        kept = SHARE_KEPT * 0.75 * 0.75 * 1.5 / configuration(point.study).working.spacing[0] ** 3
        native, stored = native, round(native * kept, 3)
    if point.count:
        return Scans(train=point.count, native=native, stored=stored, mean_native=native, mean_stored=stored)
    each = 3 * REGIONS if configuration(point.study).task == "classification" else point.copies
    counts = {PARTS[letter]: each * point.parts.count(letter) for letter in sorted(set(point.parts))}
    return Scans(**counts, native=native, stored=stored, mean_native=native, mean_stored=stored)
