"""What a finished study cost per stage, and what a planned one would cost on a number of GPUs.

    .venv/bin/python benchmarks/scale.py measured results/thousand
    .venv/bin/python benchmarks/scale.py planned studies/freetumor.yaml --volumes 161310 --lesions 40 --gpus 1 8 64

`measured` adds up the benchmarks of the jobs and the sizes of the folders. `planned` counts the operations of the networks
(``operations.py``) and divides by a rate that you state, since no GPU was measured; what runs on processors is computed from
``scripts/freetumor/download/costs.csv``.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from freetumor.core.config import Config  # noqa: E402
from freetumor.core.costs import JobCost, job_costs  # noqa: E402
from freetumor.core.settings import load  # noqa: E402
from freetumor.core.tables import CASES, read_table  # noqa: E402
from freetumor.download.estimates import costs, per_volume  # noqa: E402

HOUR = 3600
BYTES_KEPT = 1.03  # of a stored voxel, see the costs


@dataclass(frozen=True)
class Line:
    """A stage of a planned study.

    Attributes:
        name: of the stage.
        work: in words.
        core_hours: on processors.
        tera: 10^12 operations on GPUs.
        parts: jobs that can run side by side.
        gpus: of each of them.
    """

    name: str
    work: str
    core_hours: float = 0.0
    tera: float = 0.0
    parts: int = 1
    gpus: int = 1


def measured(study: Path) -> str:
    """Costs of a finished study: per rule, and per folder."""
    config = load(study / "config.yaml")
    names = [source.name for source in config.sources]
    root = study.parent
    data, volumes = ([root / place / name for name in names] for place in ("data", f"volumes/{config.preset}"))
    cases = len(read_table(study / "cases.parquet", CASES))
    rows = [("rule", "jobs", "worked through", "core-hours", "core-seconds each", "greatest memory (MB)")]
    for rule, jobs in _grouped(job_costs(study, volumes, data)):
        spent = sum(job.cpu_seconds or 0.0 for job in jobs)
        items, units = sum(job.items or 0 for job in jobs), {job.unit for job in jobs if job.unit}
        known = len(units) == 1 and all(job.items for job in jobs)
        work, each = (f"{items:,} {units.pop()}", f"{spent / items:.3g}") if known else ("", "")
        memory = max((job.memory_mb or 0.0 for job in jobs), default=0.0)
        rows.append((rule, str(len(jobs)), work, f"{spent / HOUR:.3f}", each, f"{memory:,.0f}"))
    folders = [
        ("raw files", data),
        ("volumes", volumes),
        *((name, list(study.glob(f"fold*/{name}"))) for name in ("synthesizer", "synthesis", "recognition")),
        ("evaluation, figures, reporting", [study / name for name in ("evaluation", "figures", "reporting")]),
    ]
    sizes = [("folder", "files", "GB", "GB per 1,000 volumes")]
    for name, places in folders:
        count, size = _size(places)
        sizes.append((name, f"{count:,}", f"{size / 1e9:.3f}", f"{size / 1e6 / cases:.3f}"))
    return f"{study}: {cases:,} volumes\n\n{_table(rows)}\n\n{_table(sizes)}\n"


def planned(config: Config, volumes: int, lesions: int, gpus: Sequence[int], teraflops: float, cores: int) -> str:
    """Costs of a study that was not run, and how long it would take on each number of GPUs.

    Every fold has a bank of its own; a volume is predicted by one recognizer of each arm and seed.
    """
    lines = _lines(config, volumes, lesions)
    rows = [("stage", "work", "core-hours", "10^18 operations", "GPU-hours")]
    for line in lines:
        hours = line.tera / teraflops / HOUR
        rows.append((line.name, line.work, f"{line.core_hours:,.1f}", f"{line.tera / 1e6:,.2f}", f"{hours:,.1f}"))
    days = [("GPUs", "days", "of which the longest stage")]
    for count in gpus:
        times = {line.name: _hours(line, count, teraflops, cores) for line in lines}
        longest = max(times, key=times.get)
        days.append((str(count), f"{sum(times.values()) / 24:,.1f}", f"{longest}, {times[longest] / 24:,.1f}"))
    basis = f"{config.study}: {volumes:,} volumes, {lesions} lesions each; computed for {teraflops:g} * 10^12 operations per "
    basis += f"second and GPU, which is assumed, and {cores} cores per GPU; stages one after the other"
    return f"{basis}\n\n{_table(rows)}\n\n{_table(days)}\n"


def _lines(config: Config, volumes: int, lesions: int) -> list[Line]:
    from benchmarks.operations import Study

    study, folds, own = Study(config), len(config.folds), config.compute.gpus_per_job
    gigabytes, seconds = per_volume(math.prod(config.working.spacing))
    stored = gigabytes * 1e9 / BYTES_KEPT
    lines = [Line("preprocessing", f"{volumes:,} volumes", volumes * seconds / HOUR, parts=volumes)]
    if config.needs_segmenter:
        lines.append(Line("segmenter", f"{folds} trainings", 0.0, folds * study.segmenter(), folds, own))
    for name in config.trainings_of_synthesizers:
        if (tera := study.generator(name)) is not None:
            lines.append(Line(f"generator {name}", f"{folds} trainings", 0.0, folds * tera, folds, own))
    drawing = costs()["synthesis", "constant"]
    for name in config.banks:
        count = volumes * lesions * folds
        if (tera := study.lesion(name)) is not None:
            lines.append(Line(f"banks of {name}", f"{count:,} lesions", count * drawing / HOUR, count * tera, count))
    each = len(config.recognition.arms) * len(config.recognition.seeds)
    runs = folds * each
    lines.append(Line("recognizers", f"{runs} trainings", 0.0, runs * study.recognizer(), runs, own))
    predicted = 1000 * each
    work = f"1,000 volumes, {each} times"
    lines.append(Line("prediction", work, 0.0, predicted * study.prediction(stored), predicted))
    return lines


def _hours(line: Line, gpus: int, teraflops: float, cores: int) -> float:
    """Hours of a stage on ``gpus`` GPUs: whole rounds of its jobs, or what the processors need, if that is more."""
    own = min(line.gpus, gpus)
    rounds = math.ceil(line.parts / (gpus // own))
    on_gpus = rounds * line.tera / line.parts / (teraflops * own) / HOUR
    return max(on_gpus, line.core_hours / (cores * gpus))


def _grouped(jobs: Iterable[JobCost]) -> list[tuple[str, list[JobCost]]]:
    """Jobs by rule; those that paint or train by synthesizer or arm, too."""
    groups: dict[str, list[JobCost]] = {}
    for job in jobs:
        parts = job.job.split("-")
        told = job.rule in ("synthesize_shard", "train_synthesizer") and len(parts) > 1
        groups.setdefault(f"{job.rule} {parts[1]}" if told else job.rule, []).append(job)
    return list(groups.items())


def _size(places: Iterable[Path]) -> tuple[int, int]:
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *rest])


def main() -> None:
    """Parse the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    past = commands.add_parser("measured", help="what a finished study cost")
    past.add_argument("study", type=Path, help="its folder below results/")
    plan = commands.add_parser("planned", help="what a study would cost")
    plan.add_argument("study", type=Path, help="its file below studies/")
    plan.add_argument("--volumes", type=int, default=161310, help="volumes that are preprocessed and painted on")
    plan.add_argument("--lesions", type=int, default=40, help="lesions per volume in the bank")
    plan.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64], help="numbers of GPUs")
    plan.add_argument("--teraflops", type=float, default=50.0, help="10^12 operations per second and GPU, assumed")
    plan.add_argument("--cores", type=int, default=8, help="cores per GPU")
    args = parser.parse_args()
    if args.command == "measured":
        print(measured(args.study), end="")
    else:
        config = load(REPOSITORY / "config.yaml", args.study)
        print(planned(config, args.volumes, args.lesions, args.gpus, args.teraflops, args.cores), end="")


if __name__ == "__main__":
    main()
