"""How the detection of tumors depends on their size."""

from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema, make_table
from freetumor.evaluation.lesions import size_bin_names
from freetumor.evaluation.pairing import Block, cross, pooled_ratio
from freetumor.evaluation.statistics.bootstrap import percentile_interval, ratio_bootstrap
from freetumor.evaluation.statistics.proportions import wilson_interval
from freetumor.evaluation.structures import ANY_TUMOR

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SIZES = Schema(
    "sensitivity by size",
    {
        "arm": TEXT,
        "split": TEXT,
        "size_bin": TEXT,  # diameter in mm of the ball of equal volume
        "lesions": INTEGER,
        "detected_share": NUMBER,  # mean over trainings
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "n_patients": INTEGER,
        "trainings": INTEGER,
    },
)


def sensitivity_by_size(config: Config, lesions: "pd.DataFrame") -> "pd.DataFrame":
    """Share of detected lesions per arm (or selection), split and size bin, with two-level bootstrap intervals.

    Patients (with all their lesions) and trainings are resampled. Where every lesion is found or none is, resampling shows no
    spread; there Wilson's interval is given, with patients as the number of trials.

    Args:
        config: the study.
        lesions: reference lesions of all arms, folds and seeds.

    Returns:
        Rows of :data:`SIZES`; bins without a lesion have none.
    """
    rows = []
    tumors = lesions[lesions["structure"] == ANY_TUMOR]
    for split in sorted(set(tumors["split"])):
        for arm in config.compared:
            for name in size_bin_names(config.evaluation.size_bins):
                selected = tumors[(tumors["split"] == split) & (tumors["arm"] == arm) & (tumors["size_bin"] == name)]
                blocks = cross(selected, [arm], "detected", ("case_id", "lesion")) if len(selected) else []
                if not blocks:
                    continue
                rng = generator(config.seed, "evaluation", "sizes", split, arm, name)
                share = pooled_ratio(blocks, arm)
                low, high = _interval(blocks, arm, share, config, rng)
                rows.append(
                    {
                        "arm": arm,
                        "split": split,
                        "size_bin": name,
                        "lesions": int(sum(block.counts.sum() for block in blocks)),
                        "detected_share": share,
                        "ci_low": low,
                        "ci_high": high,
                        "n_patients": sum(len(block.counts) for block in blocks),
                        "trainings": sum(block.trainings for block in blocks),
                    }
                )
    return make_table(rows, SIZES)


def _interval(blocks: list[Block], arm: str, share: float, config: Config, rng: "np.random.Generator") -> tuple[float, float]:
    settings = config.evaluation
    if share in (0.0, 1.0):
        patients = sum(len(block.counts) for block in blocks)
        return wilson_interval(share * patients, patients, settings.confidence)
    totals, counts = [block.totals[arm] for block in blocks], [block.counts for block in blocks]
    return percentile_interval(ratio_bootstrap(totals, counts, settings.resamples, rng), settings.confidence)
