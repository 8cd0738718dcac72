"""What the comparisons say, in words that claim no more than the numbers show."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.comparisons import PRIMARY
from freetumor.evaluation.statistics.crossed import NONE, PATIENTS_ONLY
from freetumor.figures.style import SPLITS, metric_name, structure_name

if TYPE_CHECKING:
    import pandas as pd

GAIN, LOSS, NOT_SHOWN = "gain", "loss", "not shown"
SHOWN = {GAIN: "a gain was shown", LOSS: "a loss was shown", NOT_SHOWN: "a difference was not shown"}


def verdict(row: object, confidence: float) -> str:
    """``gain`` or ``loss`` if the interval excludes 0 and the adjusted p is below 1 - confidence; else ``not shown``."""
    if not (row.p_adjusted < 1 - confidence and excludes_zero(row)):  # comparisons with NaN are false
        return NOT_SHOWN
    return GAIN if (row.difference > 0) == (row.better == "higher") else LOSS


def signed(value: float) -> str:
    """``0.0453`` → ``+0.045``, with a true minus sign; three decimals, fewer above 10."""
    if not math.isfinite(value):
        return "–"
    value = round(value, 3) + 0.0  # not minus zero
    return (f"{value:+.3f}" if abs(value) < 10 else f"{value:+.1f}").replace("-", "−")


def plain(value: float) -> str:
    """A number without a plus sign."""
    return signed(value).removeprefix("+")


def p_value(value: float) -> str:
    """``= 0.012``, ``< 0.001`` or ``not available``."""
    if not math.isfinite(value):
        return "not available"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def percent(share: float) -> str:
    """``0.95`` → ``95 %``."""
    return f"{100 * share:g} %"


def interval(row: object, confidence: float) -> str:
    """``95 % CI −0.01 to 0.03``, or that there is none."""
    if not (math.isfinite(row.ci_low) and math.isfinite(row.ci_high)):
        return "no interval"
    return f"{percent(confidence)} CI {plain(row.ci_low)} to {plain(row.ci_high)}"


def bounds(row: object) -> str:
    """``[-0.010, +0.030]``, or that there is no interval: beside a mark in a figure."""
    return f"[{row.ci_low:+.3f}, {row.ci_high:+.3f}]" if math.isfinite(row.ci_low) else "no interval"


def count(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listing(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def test_names(tests: Iterable[str]) -> str:
    """The tests of several comparisons, each once; what they say of lesions is said once at the end."""
    tests = set(tests)
    names = " or ".join(sorted({test.split("; ")[0] for test in tests}))
    notes = sorted({note for test in tests for note in test.split("; ")[1:]})
    return f"{names}{f' ({listing(notes)})' if notes else ''}"


def is_primary(row: object) -> bool:
    """Whether a comparison belongs to the family that is tested with correction."""
    return row.family == PRIMARY


def excludes_zero(row: object) -> bool:
    """Whether the interval lies on one side of 0."""
    return row.ci_low > 0 or row.ci_high < 0


def sentence(row: object, confidence: float, several_structures: bool = False) -> str:
    """One comparison in one sentence; only a primary one is said to show anything."""
    what = metric_name(row.metric) + (f" of {structure_name(row.structure)}" if several_structures else "")
    numbers = f"{what}, {SPLITS.get(row.split, row.split)}: {signed(row.difference)} ({interval(row, confidence)}"
    if is_primary(row):
        return f"{numbers}; adjusted p {p_value(row.p_adjusted)}; n = {row.n}): {SHOWN[verdict(row, confidence)]}"
    side = f"; the interval {'excludes' if excludes_zero(row) else 'includes'} 0" if math.isfinite(row.ci_low) else ""
    return f"{numbers}; n = {row.n}): secondary, not corrected{side}"


def opening(config: Config, comparisons: "pd.DataFrame") -> str:
    """What was compared with what, and how many of the primary comparisons showed a difference."""
    baseline, *others = config.recognition.arms
    chosen = list(config.evaluation.selections)
    also = f", and so {'was' if len(chosen) == 1 else 'were'} {listing(chosen)}, chosen among them" if chosen else ""
    primary = comparisons[comparisons["family"] == PRIMARY]
    if primary.empty:
        return f"Nothing was compared: the study has no primary comparison with the baseline arm {baseline}."
    confidence = config.evaluation.confidence
    verdicts = [verdict(row, confidence) for row in primary.itertuples()]
    metrics = listing([metric_name(name) for name in dict.fromkeys(primary["metric"])])
    counts = [f"{verdicts.count(kind)} showed a {kind}" for kind in (GAIN, LOSS) if kind in verdicts]
    if NOT_SHOWN in verdicts:
        counts.append(f"{verdicts.count(NOT_SHOWN)} did not show a difference")
    trained = f"{count(len(config.folds), 'fold')}, {count(len(config.recognition.seeds), 'seed')}"
    return (
        f"Recognizers trained with {listing(others)} were compared with the baseline {baseline}{also}. {_training(config)}, "
        f"once per fold and seed ({trained}). "
        f"Of {count(len(primary), 'primary comparison')} ({metrics}), {listing(counts)}. A difference counts as shown if its "
        f"{percent(confidence)} confidence interval excludes 0 and its p, adjusted for all primary comparisons (Holm), is "
        f"below {1 - confidence:.2g}."
    )


def _training(config: Config) -> str:
    """For how long, and on what, the arms trained."""
    settings = config.recognition.training
    if settings.epochs is None:
        return f"All arms trained for {count(settings.steps, 'step')} on the same real images"
    return (
        f"All arms trained for {count(settings.epochs, 'epoch')} on the same real images and what each adds to them, so that "
        "arms with more samples trained for more steps"
    )


def cautions(config: Config, comparisons: "pd.DataFrame") -> list[str]:
    """What limits the answer, as far as configuration and tables tell."""
    found = []
    if all(source.kind.endswith("phantom") for source in config.sources):
        found.append("All cases are phantoms made in code: the numbers show that the workflow runs, not how patients fare.")
    lucky = [name for name, selection in config.evaluation.selections.items() if selection.by == "test"]
    if lucky:
        found.append(
            f"{listing(lucky)}: chosen on the very test cases that are reported, as papers often do. Such a score is "
            "too high on average, and its p too small; a choice within the training folds is fair."
        )
    tests = set(comparisons["test"])
    if any(test.startswith(PATIENTS_ONLY) for test in tests):
        found.append(
            "At least one test rests on a single training per arm: it speaks of these trained networks, not of the method."
        )
    if any(test.startswith(NONE) for test in tests):
        found.append("At least one comparison has too few patients for a test.")
    if len(comparisons) and comparisons["patients"].min() < 20:
        found.append(
            f"The smallest comparison has {count(int(comparisons['patients'].min()), 'patient')}: that a difference was not "
            "shown does not mean that there is none."
        )
    return found
