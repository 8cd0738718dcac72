"""Tables and ratios of what was timed."""

import math
import statistics
from collections.abc import Sequence

from . import library
from .canvases import GRIDS
from .measure import STAGES, Sample

HOUR = 3600
SECTIONS = {name: name if name in library.WITH_NETWORKS else f"bank_{name}" for name in library.SYNTHESIZERS}
BANK, GROWN = SECTIONS[library.PROCEDURAL], SECTIONS[library.AUTOMATON]
Samples = Sequence[Sample]
Side = tuple[str, str]  # section and side of a sample


def pick(samples: Samples, side: Side, volume: str | None = None, kind: str | None = None) -> list[Sample]:
    """Samples of a side of a section, of all volumes and kinds unless they are named."""
    return [
        sample
        for sample in samples
        if (sample.section, sample.side) == side and volume in (None, sample.volume) and kind in (None, sample.kind)
    ]


def cost(samples: Samples, side: Side, volume: str | None = None, kind: str | None = None) -> float:
    """Core-seconds of a volume: median over the repetitions, mean over the kinds; NaN if nothing was timed."""
    chosen = pick(samples, side, volume, kind)
    kinds = dict.fromkeys(sample.kind for sample in chosen)
    medians = [statistics.median(sample.seconds for sample in chosen if sample.kind == name) for name in kinds]
    return statistics.fmean(medians) if medians else math.nan


def lesion_cost(samples: Samples, side: Side, volume: str | None = None, kind: str | None = None) -> float:
    """Core-seconds of a lesion, over everything that was timed; NaN if nothing was painted."""
    chosen = pick(samples, side, volume, kind)
    painted = sum(sample.painted for sample in chosen)
    return sum(sample.seconds for sample in chosen) / painted if painted else math.nan


def ratios(samples: Samples) -> dict[str, float]:
    """Every ratio that the samples allow, by name: reference over library, and floor over library for the shares."""
    found = {}
    for volume in GRIDS:
        for name, reference, own in (
            ("procedural", "procedural", "procedural"),
            ("bank", BANK, BANK),
            ("nifti", BANK, "nifti"),
            ("nifti_variants", BANK, "nifti_variants"),
        ):
            found[f"{name}_{volume}"] = _ratio(samples, (reference, "reference"), (own, "library"), volume)
        growth = cost(samples, (GROWN, "published"), volume, library.MEDIUM_GROWTH)
        found[f"automaton_{volume}"] = growth / lesion_cost(samples, (GROWN, "library"), volume, "medium")
    for name in library.WITH_NETWORKS:
        found[name] = _ratio(samples, (name, "reference"), (name, "library"))
    shares = {volume: _ratio(samples, (BANK, "floor"), (BANK, "library"), volume) for volume in ("B", *GRIDS)}
    found["floor_share"] = next((share for share in shares.values() if not math.isnan(share)), math.nan)
    found["floor_share_networks"] = _ratio(samples, (library.PAPER, "floor"), (library.PAPER, "library"))
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _ratio(samples: Samples, above: Side, below: Side, volume: str | None = None) -> float:
    return cost(samples, above, volume) / cost(samples, below, volume)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as aligned text, the first column to the left; nothing without rows."""
    if not rows:
        return ""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def in_memory(samples: Samples) -> str:
    """A volume in memory, by size class."""
    rows, sides = [], (("procedural", "reference"), ("procedural", "library"))
    for volume, kind in dict.fromkeys((sample.volume, sample.kind) for sample in pick(samples, sides[0])):
        own = pick(samples, sides[1], volume, kind)
        per_volume = [cost(samples, side, volume, kind) for side in sides]
        per_tumor = [lesion_cost(samples, side, volume, kind) for side in sides]
        counts = f"{sum(s.painted for s in own)} of {sum(s.wanted for s in own)}"
        rows.append([f"{volume} {kind}", counts, *map(_ms, [*per_volume, *per_tumor]), f"{per_volume[0] / per_volume[1]:.1f}"])
    return table(rows, ["", "painted", "SynTumor ms/vol", "own ms/vol", "SynTumor ms/tumor", "own ms/tumor", "ratio"])


def at_scale(samples: Samples) -> str:
    """Every synthesizer on every volume: cost, rate, floor, reference and stages."""
    rows = []
    for name, section in SECTIONS.items():
        own, floor, reference = ((section, side) for side in ("library", "floor", "reference"))
        for volume in dict.fromkeys(sample.volume for sample in pick(samples, own)):
            per_lesion = lesion_cost(samples, own, volume)
            staged = pick(samples, (section, "stages"), volume) or pick(samples, own, volume)
            figures = [per_lesion, *(cost(samples, side, volume) for side in (own, floor, reference))]
            rows.append([f"{name} {volume}", f"{HOUR / per_lesion:,.0f}", *map(_ms, figures), *_shares(staged)])
    header = ["", "lesions/h", "ms/lesion", "ms/vol", "floor ms/vol", "reference ms/vol", *STAGES, "other"]
    return table(rows, header)


def files_to_files(samples: Samples) -> str:
    """Whole files, per painted volume."""
    rows, sides = [], ((BANK, "reference"), ("nifti", "library"), ("nifti_variants", "library"))
    for volume in dict.fromkeys(sample.volume for sample in pick(samples, sides[0])):
        values = [cost(samples, side, volume) for side in sides]
        rows.append([volume, *map(_ms, values), *(f"{values[0] / value:.1f}" for value in values[1:])])
    return table(rows, ["", "SynTumor ms", "own ms, 1 version", "own ms, several", "ratio", "ratio of several"])


def references(samples: Samples) -> str:
    """What the references beside the networks, and the automaton, are made of."""
    rows = []
    sides = [(name, "reference") for name in library.WITH_NETWORKS] + [(GROWN, "published")]
    for sample in [sample for side in sides for sample in pick(samples, side)]:
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in sample.stages.items())
        rows.append([f"{sample.section} {sample.volume}", sample.kind, f"{sample.seconds:,.2f}", parts])
    return table(rows, ["beside", "what", "core-s", "one window, core-s"])


def memory(peaks: dict[str, dict[str, float]]) -> str:
    """Resident memory per worker."""
    rows = [[name, *(_number(entry[key], 0) for key in ("start_mb", "peak_mb"))] for name, entry in peaks.items()]
    return table(rows, ["worker", "MB, imports and weights", "MB, peak"])


def _ms(seconds: float) -> str:
    return _number(1e3 * seconds, 1 if seconds < 1 else 0)


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _shares(samples: Samples) -> list[str]:
    """Percent of the core-seconds that each stage takes, and what is left."""
    total = sum(sample.seconds for sample in samples)
    parts = [100 * sum(sample.stages.get(stage, 0) for sample in samples) / total for stage in STAGES]
    return [f"{part:.0f}%" for part in (*parts, 100 - sum(parts))]
