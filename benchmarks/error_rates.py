"""Count how often a procedure is wrong in simulated studies, and print it."""

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.simulations import SECTIONS, Outcome
from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.bootstrap import two_level_bootstrap

LEVEL = 0.05


@dataclass(frozen=True)
class Rate:
    """How a procedure did in a design.

    Attributes:
        design: what was simulated.
        procedure: what was computed.
        recommended: whether the project rests on it in this design.
        type_one: share of studies with a true null hypothesis that were rejected; NaN if the procedure has no test.
        coverage: share of intervals that hold the truth; NaN if it has none.
    """

    design: str
    procedure: str
    recommended: bool
    type_one: float
    coverage: float

    @property
    def kept(self) -> bool:
        """Whether both lie in their bands, as far as they exist."""
        return not (self.type_one < 0.035 or self.type_one > 0.065 or self.coverage < 0.93 or self.coverage > 0.97)


def simulate(
    design: str, study: Callable[[np.random.Generator], dict[str, Outcome]], truth: float, studies: int
) -> Iterator[Rate]:
    """Run a simulated study many times and count, per procedure."""
    rng = generator("benchmark", "statistics", design)
    found: dict[str, list[Outcome]] = {}
    for _ in range(studies):
        for name, outcome in study(rng).items():
            found.setdefault(name, []).append(outcome)
    for name, outcomes in found.items():
        p, low, high = np.array(outcomes, float).T
        tested, bounded = ~np.isnan(p), ~np.isnan(low)
        type_one = float(np.mean(p[tested] < LEVEL)) if tested.any() else math.nan
        covered = (low <= truth) & (truth <= high)
        yield Rate(
            design,
            name.lstrip("*"),
            name.startswith("*"),
            type_one,
            float(covered[bounded].mean()) if bounded.any() else math.nan,
        )


def bootstrap_cost(cases: int, resamples: int) -> tuple[float, float]:
    """Core-seconds and added MB of the two-level bootstrap over cases x 5 arms x 5 seeds."""
    rng = generator("benchmark", "bootstrap")
    scores = rng.normal(size=(cases, 5, 5))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    two_level_bootstrap([scores], [np.ones(cases)], resamples, rng)
    return time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def table(rates: list[Rate]) -> str:
    """The rates as a Markdown table; a mark where a recommended procedure misses its band."""

    def percent(share: float) -> str:
        return "–" if math.isnan(share) else f"{100 * share:.1f} %"

    lines = ["| design | procedure | type-I error | coverage | |", "| --- | --- | --- | --- | --- |"]
    for rate in rates:
        remark = "not recommended" if not rate.recommended else "" if rate.kept else "outside"
        cells = (rate.design, rate.procedure, percent(rate.type_one), percent(rate.coverage), remark)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(description: str, arguments: list[str] | None = None) -> list[Rate]:
    """Run all sections, print, and return the rates."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 studies per design, and a small bootstrap")
    parser.add_argument("--studies", type=int, help="studies per design (default: 2000)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what to simulate")
    options = parser.parse_args(arguments)
    studies = options.studies or (100 if options.quick else 2000)
    rates = []
    for section in options.sections:
        for design, study, truth in SECTIONS[section]():
            found = list(simulate(design, study, truth, studies))
            rates += found
            print("\n".join(table(found).splitlines()[2:]), file=sys.stderr, flush=True)
    cases = 500 if options.quick else 10_000
    seconds, megabytes = bootstrap_cost(cases, cases)
    missed = [rate for rate in rates if rate.recommended and not rate.kept]
    error = 1.96 * math.sqrt(0.05 * 0.95 / studies)
    print(table(rates))
    print(f"\n{studies} studies per design: a true 5 % is found as {5 - 100 * error:.1f} to {5 + 100 * error:.1f} %.")
    print(f"Bootstrap, {cases} resamples of {cases} cases x 5 arms x 5 seeds: {megabytes:.0f} MB more.")
    for rate in rates:
        name = f"{rate.design}/{rate.procedure}".replace(" ", "_")
        for kind in ("type_one", "coverage"):
            if not math.isnan(getattr(rate, kind)):
                print(f"rate {kind}/{name} {getattr(rate, kind):.4f}")
    print(f"rate recommended_inside {1 - len(missed) / max(1, sum(rate.recommended for rate in rates)):.4f}")
    print(f"seconds bootstrap {seconds:.2f}")
    return rates
