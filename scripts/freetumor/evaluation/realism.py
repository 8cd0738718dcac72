"""How like real ones painted tumors are, per synthesizer and organ, each number beside what real lesions reach.

statistic  of                 value                                          reference
---------  -----------------  ---------------------------------------------  ---------------------------------------------
q10 q50    one measure        quantile of painted lesions                    the same of real ones
q90
distance   one measure        Wasserstein distance from half of the real     the same of the other half (the floor)
kernel     a feature space    kernel distance (KID) from that half           the same of the other half (the floor)
frechet    a feature space    Fréchet distance from that half: biased, to    the same of the other half, of equal size
                              be read beside its reference only
density,   a feature space    how densely painted lesions lie among those    the same of the other half
coverage                      of that half, and how many of them they reach
auc        lesions, rings     area under the curve of a classifier, painted  the same between halves of the real ones
                              against real; rings are the control
neighbor   lesions            distance to the nearest training lesion per    the same with random patients in place of
                              distance to the nearest one never seen         the training patients: no copying

Sizes differ by design, and larger lesions differ in everything. So diameters are compared on all lesions, and everything else
on lesions *matched by size* (``two_samples.size_matched``), but for the test for copies, which needs no match. Nothing is said
of fewer than ten lesions, or five patients, on either side. Feature spaces are those of ``feature_space``. Radiomics are
compared one by one in a table of their own (``distributions``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, write_table

from .distributions import compare_distributions
from .feature_space import DISTANCES, space_distances, spaces
from .lesion_crops import HELD_OUT, PAINTED, REAL, TRAINING, read_measured, some
from .lesion_features import EDGES, LESION_FEATURES, MEASURES, OWN_FEATURES, PROFILE, RING_FEATURES
from .likeness import Bounded
from .radiomics import RADIOMICS
from .realism_tables import DISTRIBUTIONS, NOT_ENOUGH, PROFILES, REALISM
from .statistics.bootstrap import percentile_interval
from .two_samples import (
    NOTHING,
    classifier_test,
    from_half,
    mean_band,
    neighbor_ratios,
    patient_weights,
    quantile_interval,
    real_halves_test,
    size_matched,
    standardized,
)

FEWEST_LESIONS, FEWEST_PATIENTS = 10, 5
RELABELED = 100  # times that real patients are called training patients at random
SHARES = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
SIZE = "diameter_mm"


@dataclass(frozen=True)
class Sides:
    """Painted and real lesions of one synthesizer and organ that are compared."""

    painted: pd.DataFrame
    real: pd.DataFrame

    def measured(self, column: str) -> "Sides":
        """Those of them that have a value of ``column``."""
        return Sides(self.painted[self.painted[column].notna()], self.real[self.real[column].notna()])

    def of_fold(self, fold: int) -> "Sides":
        """Those of one fold."""
        return Sides(self.painted[self.painted["fold"] == fold], self.real[self.real["fold"] == fold])

    @property
    def offers_neighbors(self) -> bool:
        """Whether there are some real lesions that were learned from, and some that were not."""
        counts = [int((self.real["part"] == part).sum()) for part in (TRAINING, HELD_OUT)]
        return min(counts) >= FEWEST_LESIONS // 2

    @property
    def enough(self) -> bool:
        """Whether anything is said of them."""
        return all(
            len(side) >= FEWEST_LESIONS and side["patient_id"].nunique() >= FEWEST_PATIENTS
            for side in (self.painted, self.real)
        )

    @property
    def counts(self) -> dict[str, int]:
        """The columns of numbers of lesions and patients."""
        painted, real = ((len(side), side["patient_id"].nunique()) for side in (self.painted, self.real))
        return dict(zip(("n", "patients", "n_real", "patients_real"), (*painted, *real), strict=True))

    @property
    def patients(self) -> tuple[np.ndarray, np.ndarray]:
        """Patient of each painted and each real lesion."""
        return self.painted["patient_id"].to_numpy(str), self.real["patient_id"].to_numpy(str)

    def arrays(self, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Values (lesions, columns) of both."""
        return self.painted[list(columns)].to_numpy(float), self.real[list(columns)].to_numpy(float)


def score_realism(config: Config, measured: Sequence[Path], output: Path, profiles: Path, distributions: Path) -> None:
    """Compare the painted lesions of all folds with the real ones; write three tables.

    Args:
        config: the study.
        measured: tables of ``lesion_crops.MEASURED``, one per fold.
        output: output table of numbers, ``realism_tables.REALISM``.
        profiles: output table of profiles, ``PROFILES``.
        distributions: output table of one test per radiomics feature, ``DISTRIBUTIONS``.

    Raises:
        UserError: if a table is missing or damaged, or if no table holds a lesion.
    """
    table = read_measured(measured).reset_index(drop=True)
    rows, lines, tests = [], [], []
    for name in config.banks:
        for organ in config.organs:
            here = table[table["organ"] == organ]
            painted = here[(here["kind"] == PAINTED) & (here["synthesizer"] == name)]
            real = here[here["kind"] == REAL].drop_duplicates("lesion_id")  # a case is in every fold
            keys = {"synthesizer": name, "organ": organ}
            every = Sides(
                painted.iloc[some(len(painted), config, PAINTED, name, organ)],
                real.iloc[some(len(real), config, REAL, organ)],
            )
            matched = match(every)
            rows += [keys | row for row in compare(config, every, matched, name, organ)]
            rows.append(keys | copying(config, painted, here[here["kind"] == REAL], name, organ))
            lines += [keys | line for line in profile_rows(config, matched, name, organ)]
            tests += [keys | test for test in distribution_rows(config, matched, name, organ)]
    write_table(make_table(rows, REALISM), output, REALISM)
    write_table(make_table(lines, PROFILES), profiles, PROFILES)
    write_table(make_table(tests, DISTRIBUTIONS), distributions, DISTRIBUTIONS)


def match(every: Sides) -> Sides:
    """The lesions that are compared in everything but size."""
    sides = every.measured("contrast_hu")
    if sides.painted.empty or sides.real.empty:
        return Sides(sides.painted.iloc[:0], sides.real.iloc[:0])
    real, painted = size_matched(sides.real[SIZE].to_numpy(), sides.painted[SIZE].to_numpy())
    return Sides(sides.painted.iloc[painted], sides.real.iloc[real])


def compare(config: Config, every: Sides, matched: Sides, *key: str) -> list[dict]:
    """Quantiles and distances of all measures, distance of features, and what classifiers see."""
    rows = []
    for measure in MEASURES:
        rows += _compare_measure(config, measure, every if measure == SIZE else matched, *key)
    for space, columns in spaces(matched.real).items():
        rng = generator(config.seed, "realism", "kernel", *key)  # the same halves in all spaces
        found = dict.fromkeys(DISTANCES, (NOTHING, NOTHING))
        if matched.enough:
            found = space_distances(*matched.arrays(columns), *matched.patients, config.evaluation.confidence, rng)
        rows += [_row(space, statistic, *numbers, matched) for statistic, numbers in found.items()]
    for measure, columns in (("lesions", LESION_FEATURES), ("rings", RING_FEATURES)):
        rows.append(_row(measure, "auc", *_told_apart(config, matched, columns, measure, *key), matched))
    return rows


def _compare_measure(config: Config, measure: str, sides: Sides, *key: str) -> list[dict]:
    """Quantiles and Wasserstein distance of one measure."""
    sides = sides.measured(measure)
    if not sides.enough:
        return [_row(measure, statistic, NOTHING, NOTHING, sides) for statistic in (*SHARES, "distance")]
    confidence, resamples = config.evaluation.confidence, config.evaluation.resamples
    rng = generator(config.seed, "realism", measure, *key)
    values = [array[:, 0] for array in sides.arrays([measure])]
    weights = [patient_weights(patients, resamples, rng) for patients in sides.patients]
    rows = []
    for statistic, share in SHARES.items():
        found = [quantile_interval(v, w, share, confidence) for v, w in zip(values, weights, strict=True)]
        rows.append(_row(measure, statistic, *found, sides))
    painted, real = values
    distances = from_half(
        lambda x, y: wasserstein_distance(painted[x], real[y]),
        lambda x, y: wasserstein_distance(real[x], real[y]),
        *sides.patients,
        confidence,
        rng,
    )
    return [*rows, _row(measure, "distance", *distances, sides)]


def _told_apart(config: Config, sides: Sides, columns: Sequence[str], *key: str) -> tuple[Bounded, Bounded]:
    """The classifier's test of painted against real lesions, and of real ones against each other."""
    if not sides.enough:
        return NOTHING, NOTHING
    settings, rng = config.evaluation, generator(config.seed, "realism", "auc", *key)
    samples, patients = sides.arrays(columns), sides.patients
    found = classifier_test(*samples, *patients, settings.confidence, settings.resamples, rng)
    return found, real_halves_test(samples[1], patients[1], settings.confidence, rng)


def copying(config: Config, painted: pd.DataFrame, real: pd.DataFrame, *key: str) -> dict:
    """Median of the ratio of :func:`two_samples.neighbor_ratios` over all folds, each with its own training lesions.

    The reference is the range of the same median when as many real patients, at random, are called training patients.
    """
    rng, confidence = generator(config.seed, "realism", "neighbor", *key), config.evaluation.confidence
    sides = Sides(*(side[side["contrast_hu"].notna()] for side in (painted, real)))
    folds = [fold for fold in map(sides.of_fold, sorted(set(painted["fold"]))) if fold.offers_neighbors]
    sides = Sides(sides.painted, sides.real.drop_duplicates("lesion_id"))
    if not folds or not sides.enough or sum(len(fold.painted) for fold in folds) < FEWEST_LESIONS:
        return _row("lesions", "neighbor", NOTHING, NOTHING, sides)
    ratios = np.concatenate([_ratios(fold, (fold.real["part"] == TRAINING).to_numpy(), rng) for fold in folds])
    patients = np.concatenate([fold.patients[0] for fold in folds])
    value = quantile_interval(ratios, patient_weights(patients, config.evaluation.resamples, rng), 0.5, confidence)
    chance = [
        np.nanmedian(np.concatenate([_ratios(fold, _any_training(fold, rng), rng) for fold in folds])) for _ in range(RELABELED)
    ]
    return _row(
        "lesions", "neighbor", value, (float(np.mean(chance)), *percentile_interval(np.array(chance), confidence)), sides
    )


def _ratios(fold: Sides, training: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ratios of the painted lesions of a fold, if the real lesions marked ``training`` are those that were learned from."""
    painted, real = fold.arrays(OWN_FEATURES)
    mine, known = standardized(painted, real), standardized(real, real)
    return neighbor_ratios(mine, known[training], known[~training], fold.patients[0], fold.patients[1][training], rng)


def _any_training(fold: Sides, rng: np.random.Generator) -> np.ndarray:
    """As many patients as are in the training part, at random; with at least one lesion on either side."""
    names = fold.real["patient_id"].unique()
    count = fold.real.loc[fold.real["part"] == TRAINING, "patient_id"].nunique()
    return fold.real["patient_id"].isin(rng.permutation(names)[:count]).to_numpy()


def profile_rows(config: Config, sides: Sides, *key: str) -> list[dict]:
    """Mean HU by distance from the border of painted and real lesions of the same sizes, with pointwise bands."""
    if not sides.enough:
        return []
    settings, rng = config.evaluation, generator(config.seed, "realism", "profile", *key)
    bands, counts = [], []
    for values, patients in zip(sides.arrays(PROFILE), sides.patients, strict=True):
        band = mean_band(values, patient_weights(patients, settings.resamples, rng), settings.confidence)
        there = np.isfinite(values)
        few = [len(np.unique(patients[column])) < FEWEST_PATIENTS for column in there.T]
        band[:, few] = np.nan
        bands.append(band)
        counts.append(there.sum(axis=0))
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    names = ("distance_mm", "value", "ci_low", "ci_high", "reference", "reference_low", "reference_high", "n", "n_real")
    return [dict(zip(names, line, strict=True)) for line in zip(middles, *bands[0], *bands[1], *counts, strict=True)]


def distribution_rows(config: Config, sides: Sides, *key: str) -> list[dict]:
    """Radiomics of painted and real lesions of the same sizes, a row per feature."""
    found = {"note": NOT_ENOUGH, **dict.fromkeys(("median", "median_real", "wasserstein", "ks", "p", "p_adjusted"), np.nan)}
    found = {name: [value] * len(RADIOMICS) for name, value in found.items()}
    if sides.enough:
        rng = generator(config.seed, "realism", "radiomics", *key)
        numbers = compare_distributions(*sides.arrays(RADIOMICS), *sides.patients, config.evaluation.resamples, rng)
        found = {"note": np.where(np.isfinite(numbers["p"]), "", NOT_ENOUGH), **numbers}
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    return [{"feature": name, **row, **sides.counts} for name, row in zip(RADIOMICS, rows, strict=True)]


def _row(measure: str, statistic: str, value: Bounded, reference: Bounded, sides: Sides) -> dict:
    columns = ("value", "ci_low", "ci_high", "reference", "reference_low", "reference_high")
    numbers = dict(zip(columns, (*value, *reference), strict=True))
    note = "" if np.isfinite(value[0]) else NOT_ENOUGH
    return {"measure": measure, "statistic": statistic, **numbers, **sides.counts, "note": note}
