"""Whether painted lesions give away the patients that a synthesizer learned from, per synthesizer and organ.

measure          by                value                                              reference
---------------  ----------------  -------------------------------------------------  ---------------------------------------
neighbor_ratio   features          median distance to the nearest training lesion     the same with random patients in place
                                   per distance to the nearest one never learned from of the training patients
copies           features          share of painted lesions closer to a training      what is expected of lesions that are
                                   lesion than all but 1 % of held-out real ones are  no copies: 1 %, or more of few lesions
copies           voxels            share with the texture of a training lesion        share of held-out real lesions so found
planted          features, voxels  share of planted copies that are found             1
membership_auc   features, voxels  area under the curve of an attacker who guesses    the same for random patients
                                   from painted lesions who was learned from
membership_tpr   features, voxels  members that he finds at 1 % false accusations     the same for random patients

*Features* are what a transplant keeps (``lesion_features.OWN_FEATURES``), standardized by the real lesions of the fold;
lesions of the painted lesion's own patient do not count. *Voxels* are aligned textures (``aligned``). Planted copies
(``lesion_crops``) are the positive control, of an organ, not of a synthesizer: where they are not found, nothing else will
be.

All of this is about lesions. Outside its label, a painted scan is the scan of a patient, bit for bit.

Reference:
    Shokri et al. 2017 and Carlini et al. 2022 (membership inference, and its power at a low rate of false positives).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import make_table, write_table

from .copies import Compared, Known, Lesions, compare_lesions, distance_table, held_out, read_lesions
from .lesion_crops import COPY, HELD_OUT, PAINTED, PLANTED, REAL, TRAINING
from .likeness import Bounded
from .realism import FEWEST_LESIONS, FEWEST_PATIENTS, RELABELED, copying
from .realism_tables import NOT_ENOUGH, NUMBERS, PRIVACY, PRIVACY_DISTANCES
from .statistics.bootstrap import percentile_interval
from .statistics.proportions import wilson_interval
from .two_samples import NOTHING, patient_weights

NEAR = 0.01  # share of held-out real lesions that are as close to a training lesion as what is called close
FALSE_POSITIVES = 0.01
FEATURES, VOXELS = "features", "voxels"


def score_privacy(config: Config, measured: Sequence[Path], thumbnails: Sequence[Path], output: Path, distances: Path) -> None:
    """Audit the painted lesions of all folds; write ``realism_tables.PRIVACY`` and ``PRIVACY_DISTANCES``.

    Args:
        config: the study.
        measured: tables of ``lesion_crops.MEASURED``, one per fold.
        thumbnails: their arrays of thumbnails, in the same order.
        output: output table of numbers.
        distances: output table of single lesions, for histograms.

    Raises:
        UserError: if a file is missing or damaged, if a table and its array do not fit, or if no table holds a lesion.
    """
    every = read_lesions(measured, thumbnails)
    rows, lines = [], []
    for organ in config.organs:
        here = every.where((every.table["organ"] == organ) & every.table["contrast_hu"].notna())
        audit = Audit(config, organ, here)
        rows += audit.planted_rows()
        lines += [audit.unseen, audit.planted]
        for name in config.banks:
            more, distance = audit.synthesizer_rows(name)
            rows += more
            lines.append(distance)
    write_table(make_table(rows, PRIVACY), output, PRIVACY)
    found = pd.concat([part for part in lines if len(part)] or lines[:1], ignore_index=True)
    write_table(found, distances, PRIVACY_DISTANCES)


class Audit:
    """The real lesions of an organ, and what is said of lesions beside them.

    Folds with less than five lesions that were learned from, or that were not, are left out.

    Args:
        config: the study.
        organ: the organ.
        lesions: all lesions of the organ, with a contrast.

    Attributes:
        unseen: distances of held-out real lesions.
        planted: distances of planted copies.
    """

    def __init__(self, config: Config, organ: str, lesions: Lesions) -> None:
        self.config, self.organ, self.lesions = config, organ, lesions
        real = lesions.where(lesions.table["kind"] == REAL)
        folds = {number: Known(mine) for number, mine in real.by_fold}
        self.folds = {number: known for number, known in folds.items() if known.suffices(FEWEST_LESIONS // 2)}
        self.real = real.table
        self.unseen = distance_table(compare_lesions(held_out(real), self.folds), HELD_OUT)
        self.planted = distance_table(compare_lesions(lesions.where(lesions.table["kind"] == PLANTED), self.folds), PLANTED)
        known = self.unseen["distance"].dropna()
        self.near = float(known.quantile(NEAR)) if len(known) else np.nan

    def planted_rows(self) -> list[dict]:
        """How many of the planted copies are found, by distance and, as copies of their own originals, by texture."""
        original = self.planted["lesion_id"].map(lambda name: name.rpartition(COPY)[0])
        hits = {
            FEATURES: self.planted["distance"] <= self.near,
            VOXELS: self.planted["copy"] & (self.planted["nearest"] == original),
        }
        expected = 1.0, np.nan, np.nan
        return [
            self._row("", "planted", by, self._share(hit, self.planted), expected if len(hit) else NOTHING, self.planted)
            for by, hit in hits.items()
        ]

    def synthesizer_rows(self, name: str) -> tuple[list[dict], pd.DataFrame]:
        """All that is said of a synthesizer, and the distances of its lesions."""
        mine = self.lesions.where((self.lesions.table["kind"] == PAINTED) & (self.lesions.table["synthesizer"] == name))
        compared = compare_lesions(mine, self.folds)
        found = distance_table(compared, PAINTED)
        enough = len(found) >= FEWEST_LESIONS and found["patient_id"].nunique() >= FEWEST_PATIENTS
        measured = {("neighbor_ratio", FEATURES): self._ratio(name, mine.table)} if enough else {}
        if enough:
            confidence = self.config.evaluation.confidence
            usual = self._share(self.unseen["copy"], self.unseen)
            measured["copies", FEATURES] = (
                self._share(found["distance"] <= self.near, found),
                expected_below(len(self.unseen), confidence),
            )
            measured["copies", VOXELS] = self._share(found["copy"], found), usual
            for by, suspicion in SUSPICIONS.items():
                measured |= {(measure, by): pair for measure, pair in self._membership(name, by, compared, suspicion).items()}
        nothing = dict.fromkeys(MEASURED_BY, (NOTHING, NOTHING))
        counted = found if enough else mine.table
        return [self._row(name, *key, *numbers, counted) for key, numbers in (nothing | measured).items()], found

    def _ratio(self, name: str, painted: pd.DataFrame) -> tuple[Bounded, Bounded]:
        """The number that ``realism`` calls neighbor."""
        row = copying(self.config, painted, self.real, name, self.organ)
        values = tuple(row[column] for column in NUMBERS)
        return values[:3], values[3:]

    def _membership(
        self, name: str, by: str, compared: Sequence[Compared], suspicion: Callable[[Compared], np.ndarray]
    ) -> dict[str, tuple[Bounded, Bounded]]:
        """What an attacker achieves who calls those real lesions members that painted ones resemble."""
        settings, rng = self.config.evaluation, generator(self.config.seed, "privacy", "membership", by, name, self.organ)
        scores, members = [suspicion(part) for part in compared], [part.known.training for part in compared]
        patients = [part.known.real.patients for part in compared]
        ends = np.cumsum([len(part) for part in patients])[:-1]
        weights = np.split(patient_weights(np.concatenate(patients), settings.resamples, rng), ends, axis=1)
        area, hits = membership(scores, members)
        draws, _ = membership(scores, members, weights)
        chance = [membership(scores, [_any_patients(part.known, rng) for part in compared]) for _ in range(RELABELED)]
        areas, shares = np.array([float(value[0]) for value, _ in chance]), np.array([hit.mean() for _, hit in chance])
        accused = np.concatenate([mine[member] for mine, member in zip(patients, members, strict=True)])

        def usual(values: np.ndarray) -> Bounded:
            return float(values.mean()), *percentile_interval(values, settings.confidence)

        return {
            "membership_auc": ((float(area[0]), *percentile_interval(draws, settings.confidence)), usual(areas)),
            "membership_tpr": (share_interval(hits, accused, settings.confidence), usual(shares)),
        }

    def _share(self, hits: pd.Series, table: pd.DataFrame) -> Bounded:
        if not len(hits):
            return NOTHING
        return share_interval(hits.to_numpy(bool), table["patient_id"].to_numpy(str), self.config.evaluation.confidence)

    def _row(self, name: str, measure: str, by: str, value: Bounded, reference: Bounded, table: pd.DataFrame) -> dict:
        counts = {"n": len(table), "patients": table["patient_id"].nunique()}
        counts |= {f"n_{part}": int((self.real["part"] == part).sum()) for part in (TRAINING, HELD_OUT)}
        keys = {"synthesizer": name, "organ": self.organ, "measure": measure, "by": by}
        note = "" if np.isfinite(value[0]) else NOT_ENOUGH
        return keys | dict(zip(NUMBERS, (*value, *reference), strict=True)) | counts | {"note": note}


SUSPICIONS: dict[str, Callable[[Compared], np.ndarray]] = {  # of each real lesion, higher for likely members
    FEATURES: lambda compared: -compared.distance.min(axis=0),
    VOXELS: lambda compared: np.nan_to_num(compared.outstanding, nan=-np.inf).max(axis=0),
}
MEASURED_BY = (
    ("neighbor_ratio", FEATURES),
    *(("copies", by) for by in SUSPICIONS),
    *((measure, by) for by in SUSPICIONS for measure in ("membership_auc", "membership_tpr")),
)


def share_interval(hits: np.ndarray, patients: np.ndarray, confidence: float) -> Bounded:
    """A share of lesions with Wilson's interval, for as many independent lesions as those of the patients are worth.

    Args:
        hits: bool (n,), at least one.
        patients: (n,).
        confidence: level of the interval.

    Reference:
        Kish 1965 (design effect of clusters).
    """
    share, n = float(hits.mean()), len(hits)
    _, place = np.unique(patients, return_inverse=True)
    sums = np.bincount(place, hits - share)
    spread = len(sums) / max(len(sums) - 1, 1) * float(np.sum(sums**2)) / n**2
    effect = max(1.0, spread * n / (share * (1 - share))) if 0 < share < 1 else 1.0
    low, high = wilson_interval(share * n / effect, n / effect, confidence)
    return share, low if share > 0 else 0.0, high if share < 1 else 1.0


def expected_below(count: int, confidence: float) -> Bounded:
    """Share of new lesions of the same kind below the quantile :data:`NEAR` of ``count`` lesions: mean and range.

    The share below an order statistic has a beta distribution. Of few lesions even the least is no low quantile: below the
    least of nine lies a tenth in the mean.
    """
    place = 1 + NEAR * (count - 1)  # of the quantile, among the ranks
    low, high = stats.beta.interval(confidence, place, count + 1 - place)
    return place / (count + 1), float(low), float(high)


def membership(
    scores: Sequence[np.ndarray], members: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How well scores tell members from others, within each fold.

    Args:
        scores: per fold (m,), higher for likely members.
        members: per fold bool (m,).
        weights: per fold (draws, m), how often each lesion counts in draws of a bootstrap; once without.

    Returns:
        The area under the curve (draws,), and of the members of all folds whether they score above all but 1 % of the others of
        their fold: above all of them, if these are less than a hundred.
    """
    won, pairs, found = 0.0, 0.0, []
    for index, (values, member) in enumerate(zip(scores, members, strict=True)):
        ranks = np.unique(values, return_inverse=True)[1]  # infinite scores have differences too
        ahead = np.sign(ranks[member][:, None] - ranks[~member]) / 2 + 0.5
        each = np.ones((1, len(values))) if weights is None else weights[index]
        won = won + np.sum((each[:, member] @ ahead) * each[:, ~member], axis=1)
        pairs = pairs + each[:, member].sum(axis=1) * each[:, ~member].sum(axis=1)
        others = np.sort(ranks[~member])[::-1]
        found.append(ranks[member] > others[int(FALSE_POSITIVES * len(others))])
    with np.errstate(invalid="ignore"):
        return won / pairs, np.concatenate(found)


def _any_patients(known: Known, rng: np.random.Generator) -> np.ndarray:
    """Lesions of as many random patients as were learned from."""
    patients = known.real.patients
    count = len(np.unique(patients[known.training]))
    return np.isin(patients, rng.permutation(np.unique(patients))[:count])
