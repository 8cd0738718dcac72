"""The page of costs: what the jobs of a study took, by rule, and how fast they were."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median

from freetumor.core.costs import JobCost, job_costs, write_costs
from freetumor.core.files import write_text
from freetumor.core.progress import format_duration
from freetumor.figures.answers import count
from freetumor.figures.html import Section, element, folded, link, section, table
from freetumor.figures.page import page

SHOWN = 500  # jobs on the page, the longest; the table beside it has all
NOT_MEASURED = "–"
MEANING = (
    "A job that was interrupted counts with its last attempt. Figures and a few small jobs are not measured. Downloads and "
    "preprocessing serve all studies of this folder and were paid once. Rates leave out imports and what is read beforehand."
)
FOOTER = "Written when the study ended, from benchmarks, logs and provenance. Unlike the report, it differs between two runs."


def write_cost_page(title: str, study: Path, volumes: Sequence[Path], data: Sequence[Path], report: str) -> None:
    """Write ``costs.csv`` and ``costs.html`` into the results of a study.

    Args:
        title: of the study.
        study: its results.
        volumes: folders of the preprocessed sources that it uses.
        data: folders of these sources.
        report: name of the report beside it, to link to.
    """
    costs = job_costs(study, volumes, data)
    write_costs(costs, study / "costs.csv")
    sections = [_summary(costs, report), *([_jobs(costs)] if costs else [])]
    write_text(study / "costs.html", page(f"What it took: {title}", "Time, memory and speed of every job", sections, FOOTER))


def _summary(costs: Sequence[JobCost], report: str) -> Section:
    back = element("p", "The study itself is in ", link("its report", report), ". ", MEANING)
    if not costs:
        return section("By rule", back, element("p", "No job left a benchmark."))
    rules = [list(mine) for _, mine in groupby(costs, key=lambda cost: cost.rule)]
    rows = [_rule(mine) for mine in sorted(rules, key=_seconds, reverse=True)]
    header = (
        "Rule",
        "Jobs",
        "Seconds",
        "Longest (s)",
        "CPU seconds",
        "Peak memory (MB)",
        "Typical rate",
        "GPU",
        "GPU memory (MB)",
    )
    paid = [cost.cpu_seconds for cost in costs if cost.cpu_seconds is not None]
    total = f"{count(len(costs), 'job')}, {format_duration(_seconds(costs))} one after the other, "
    total += f"{format_duration(sum(paid))} of CPU"
    return section("By rule", element("p", total), back, table("Jobs by rule", header, rows, (1, 2, 3, 4, 5, 8)))


def _rule(costs: Sequence[JobCost]) -> tuple[str, ...]:
    units = sorted({cost.unit for cost in costs if cost.rate is not None})
    rates = [f"{median(cost.rate for cost in costs if cost.unit == unit):.3g} {unit}/s" for unit in units]
    return (
        costs[0].rule,
        str(len(costs)),
        f"{_seconds(costs):,.0f}",
        f"{max(cost.seconds for cost in costs):,.0f}",
        _known([cost.cpu_seconds for cost in costs], sum),
        _known([cost.memory_mb for cost in costs], max),
        ", ".join(rates) or NOT_MEASURED,
        ", ".join(sorted({cost.gpu for cost in costs if cost.gpu})) or "none",
        _known([cost.gpu_memory_mb for cost in costs], max),
    )


def _jobs(costs: Sequence[JobCost]) -> Section:
    longest = sorted(costs, key=lambda cost: -cost.seconds)[:SHOWN]
    rows = [
        (
            cost.job or cost.rule,
            cost.rule,
            f"{cost.seconds:,.0f}",
            _known([cost.cpu_seconds], max),
            _known([cost.memory_mb], max),
            _work(cost),
            cost.gpu or "none",
        )
        for cost in longest
    ]
    header = ("Job", "Rule", "Seconds", "CPU seconds", "Peak memory (MB)", "Work", "GPU")
    shown = "All" if len(rows) == len(costs) else f"The longest {len(rows)} of {len(costs):,}"
    beside = element("p", link("costs.csv", "costs.csv"), " has every job.")
    return section("By job", beside, folded(f"{shown} jobs", table("Jobs, the longest first", header, rows, (2, 3, 4))))


def _seconds(costs: Sequence[JobCost]) -> float:
    return sum(cost.seconds for cost in costs)


def _work(cost: JobCost) -> str:
    return f"{cost.items:,} {cost.unit}, {cost.rate:.3g}/s" if cost.rate is not None else NOT_MEASURED


def _known(values: Sequence[float | None], total: Callable[[Iterable[float]], float]) -> str:
    known = [value for value in values if value is not None]
    return f"{total(known):,.0f}" if known else NOT_MEASURED
