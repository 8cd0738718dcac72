"""The tables of docs/explanation/scale.md: what jobs ask for, and how that compares with what was measured."""

from collections.abc import Sequence
from pathlib import Path

from freetumor.core import settings
from freetumor.core.config import Config
from freetumor.core.needs import LOADS, Need, Study, jobs_of
from freetumor.core.scans import Scans
from freetumor.download.sizes import study_of

from .needs_measuring import asked_for, read_measured

REPOSITORY = Path(__file__).resolve().parent.parent
MANY = Scans(train=800, validation=200, test=500, pool=159_810, native=184, stored=36, mean_native=47, mean_stored=13.5)
SHARDS = 323


def tables() -> str:
    """Both tables, in Markdown."""
    return f"{asked_table()}\n\n{measured_table()}\n"


def asked_table() -> str:
    """What the largest job of each kind asks for, in some studies."""
    planned = [study_of(_load(name), Path("nowhere")) for name in ("", "freetumor")]  # before anything is there
    studies = [*planned, _many(_load())]
    asked = [_largest(study) for study in studies]
    rows = [
        [f"`{kind}`", *(_words(needs.get(kind)) for needs in asked)] for kind in LOADS if any(kind in needs for needs in asked)
    ]
    return _markdown(rows, ["kind of job", "default study", "`studies/freetumor.yaml`", "161,310 scans, default networks"])


def measured_table() -> str:
    """How many jobs of each kind were measured, what they held, and what they ask for in units of that."""
    found = read_measured()
    rows = []
    for kind in LOADS:
        mine = [row for row in found if row["kind"] == kind]
        if mine:
            held = [float(row["megabytes"]) for row in mine]
            shares = [asked_for(row) / float(row["megabytes"]) for row in mine]
            spans = [_span(held, "{:.0f}"), _span(shares, "{:.1f}")]
            rows.append([f"`{kind}`", str(len(mine)), *spans])
    return _markdown(rows, ["kind of job", "measured", "MB", "asks for, per MB measured"])


def _load(name: str = "") -> Config:
    study = [REPOSITORY / "studies" / f"{name}.yaml"] if name else []
    return settings.load(REPOSITORY / "config.yaml", *study)


def _many(config: Config) -> Study:
    """A study of so many scans, in shards as for the paper."""
    synthesis = config.synthesis.model_copy(update={"shards": SHARDS})
    source = config.sources[0].model_copy(update={"shards": SHARDS})
    changed = config.model_copy(update={"synthesis": synthesis, "sources": [source]})
    return Study(changed, lambda fold: MANY, lambda name: MANY)


def _largest(study: Study) -> dict[str, Need]:
    """The greatest memory and the longest limit of each kind of job."""
    found: dict[str, Need] = {}
    for kind, _, need in jobs_of(study):
        known = found.get(kind, need)
        found[kind] = Need(max(need.memory_mb, known.memory_mb), max(need.minutes, known.minutes))
    return found


def _markdown(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def _words(need: Need | None) -> str:
    return "" if need is None else f"{need.memory_mb / 1e3:.1f} GB, {_duration(need.minutes)}"


def _duration(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _span(values: Sequence[float], form: str) -> str:
    least, most = form.format(min(values)), form.format(max(values))
    return least if least == most else f"{least} to {most}"
