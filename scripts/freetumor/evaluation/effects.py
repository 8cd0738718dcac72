"""What a comparison says of the trained models themselves: effect sizes and cross-checks over patients."""

from collections.abc import Sequence

import numpy as np

from freetumor.evaluation.metric_names import BETTER, EARLY
from freetumor.evaluation.pairing import Block
from freetumor.evaluation.statistics.crossed import ratio_blocks
from freetumor.evaluation.statistics.paired import (
    probability_of_superiority,
    published_paired_t,
    sign_flip,
    standardized_effect,
)


def patient_effects(
    blocks: Sequence[Block],
    metric: str,
    arm: str,
    baseline: str,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Columns of the summary table that take the trainings as they are and patients as random.

    Differences are averaged over the trainings. Those of a share of lesions are linearized for effect and paired t; who wins
    and the permutation test count the lesions of each patient.

    Args:
        blocks: of both arms.
        metric: its name.
        arm: the arm of interest.
        baseline: the arm it is compared with.
        confidence: level of the intervals.
        resamples: of the permutation test, where it is not exact.
        rng: where their randomness comes from.

    Returns:
        ``effect superiority``, each with ``_low`` and ``_high``, ``p_trained``, and ``p_published`` before its correction.
    """
    gains, totals = patient_differences(blocks, metric, arm, baseline)
    effect = standardized_effect(gains, confidence)
    won = probability_of_superiority(totals if BETTER[metric] == "higher" else -totals, confidence)
    return {
        "effect": effect.value,
        "effect_low": effect.low,
        "effect_high": effect.high,
        "superiority": won.value,
        "superiority_low": won.low,
        "superiority_high": won.high,
        "p_trained": sign_flip(totals, resamples, rng),
        "p_published": published_paired_t(gains, 1).p,
    }


def patient_differences(blocks: Sequence[Block], metric: str, arm: str, baseline: str) -> tuple[np.ndarray, np.ndarray]:
    """Differences of patients, averaged over trainings: on the scale of the metric, and as they are counted.

    Only those of a share of lesions differ: linearized, and in lesions. Shapes ``(patients,)``.
    """
    if metric != EARLY:
        means = np.concatenate([(block.means(arm) - block.means(baseline)).mean(axis=1) for block in blocks])
        return means, means
    totals = [block.totals[arm] - block.totals[baseline] for block in blocks]
    linearized = ratio_blocks(totals, [block.counts for block in blocks])
    return tuple(np.concatenate([part.mean(axis=1) for part in parts]) for parts in (linearized, totals))
