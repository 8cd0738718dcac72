"""What each job of a study took: time and memory from its benchmark, work and rate from its log, the GPU from its provenance.

A job that was interrupted counts with its last attempt. All of it is measured, so it differs between runs.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from .files import read_json, write_text

FINISHED = re.compile(r": (\d+)/\1 (\S+), ([\d.e+-]+) \2/s, finished in")
SPENT = re.compile(r"^took [\d.]+ s, ([\d.]+) core-seconds$", re.MULTILINE)
SHARD = ".benchmark.tsv"  # of jobs that studies share: beside the shards of a source


@dataclass(frozen=True)
class JobCost:
    """What a job took; a number is None where it was not measured.

    Attributes:
        rule: its rule.
        job: what tells it from others of its rule; empty if there is one.
        seconds: from its start to its end.
        cpu_seconds: of all its processes, by its log; else by its benchmark, which misses up to half a minute.
        memory_mb: the most that its processes held at once.
        items: what it worked through, for example steps.
        unit: what these are; empty if its log does not count.
        rate: items per second; imports and what is read beforehand are left out.
        gpu: name of the device; empty on a CPU.
        gpu_memory_mb: the most that torch held there.
    """

    rule: str
    job: str
    seconds: float
    cpu_seconds: float | None
    memory_mb: float | None
    items: int | None = None
    unit: str = ""
    rate: float | None = None
    gpu: str = ""
    gpu_memory_mb: float | None = None


def job_costs(study: Path, volumes: Iterable[Path] = (), data: Iterable[Path] = ()) -> list[JobCost]:
    """Costs of all jobs that left a benchmark, by rule and name.

    Args:
        study: results of the study.
        volumes: folders of the preprocessed sources that it uses; their shards were paid by whichever study came first.
        data: folders of the sources; so were they.
    """
    machines = _machines(study)
    jobs = [(*_name(path.relative_to(study / "benchmarks")), path) for path in (study / "benchmarks").rglob("*.tsv")]
    found = [
        JobCost(rule, job, **measured | _work(_log(study, path)), **machines.get((rule, job), {}))
        for rule, job, path in jobs
        if (measured := _benchmark(path))
    ]
    for folder in volumes:
        for path in folder.glob(f"shards/*{SHARD}"):
            number = path.name.removesuffix(SHARD)
            if measured := _benchmark(path):
                job = f"{folder.parent.name}-{folder.name}-{number}"
                found.append(JobCost("preprocess_shard", job, **measured | _work(path.with_name(f"{number}.log"))))
    for folder in data:
        if measured := _benchmark(folder / "download.tsv"):
            found.append(JobCost("download_source", folder.name, **measured | _work(folder / "download.log")))
    return sorted(found, key=lambda cost: (cost.rule, cost.job))


def write_costs(costs: Iterable[JobCost], path: Path) -> None:
    """Write a table with the attributes of :class:`JobCost` as columns; what was not measured is empty."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(field.name for field in fields(JobCost))
    writer.writerows(astuple(cost) for cost in costs)
    write_text(path, table.getvalue())


def _name(path: Path) -> tuple[str, str]:
    """Rule and job of a benchmark: ``rule.tsv`` or ``rule/job.tsv``."""
    return path.parts[0].removesuffix(".tsv"), path.stem if len(path.parts) > 1 else ""


def _log(study: Path, benchmark: Path) -> Path:
    return study / "logs" / benchmark.relative_to(study / "benchmarks").with_suffix(".log")


def _benchmark(path: Path) -> dict[str, Any]:
    """What Snakemake measured; nothing if it was stopped before it wrote that, or meanwhile."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except FileNotFoundError:
        return {}
    row = rows[-1] if rows else {}
    if _number(row, "s") is None:
        return {}
    return {"seconds": float(row["s"]), "cpu_seconds": _number(row, "cpu_time"), "memory_mb": _number(row, "max_rss")}


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        return float(row[name])
    except (KeyError, ValueError, TypeError):  # a job too short to be sampled
        return None


def _work(log: Path) -> dict[str, Any]:
    """The last thing that a log counts to its end, and the processor time of all processes that wrote it."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found, spent = FINISHED.findall(text), SPENT.findall(text)
    facts = {"items": int(found[-1][0]), "unit": found[-1][1], "rate": float(found[-1][2])} if found else {}
    return facts | ({"cpu_seconds": sum(map(float, spent))} if spent else {})


def _machines(study: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """GPU and its memory of the trainings, by rule and job."""
    found = {}
    for path in [*study.glob("fold*/synthesizer/*/provenance.json"), *study.glob("fold*/recognition/*/*/provenance.json")]:
        facts = read_json(path)
        parts = [part for part in path.relative_to(study).parts[:-1] if part not in ("recognition", "synthesizer", "segmenter")]
        rule = Path(facts["command"][0]).stem
        found[rule, "-".join(parts)] = {"gpu": facts.get("gpu", ""), "gpu_memory_mb": facts.get("gpu_peak_mib")}
    return found
