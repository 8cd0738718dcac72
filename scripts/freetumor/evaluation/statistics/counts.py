"""What follows from the four counts of a decision: true and false positives and negatives.

Shares without a denominator are NaN, never 0 or 1: a rate of nothing is unknown.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """The counts of a two-by-two table.

    Attributes:
        tp: positives called positive.
        fn: positives called negative.
        fp: negatives called positive.
        tn: negatives called negative.
    """

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def total(self) -> int:
        """All cases."""
        return self.tp + self.fn + self.fp + self.tn

    @property
    def sensitivity(self) -> float:
        """Share of positives called positive (recall)."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Share of negatives called negative."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def ppv(self) -> float:
        """Share of those called positive that are (precision). Depends on the prevalence."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float:
        """Share of those called negative that are. Depends on the prevalence."""
        return _share(self.tn, self.tn + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of all that are called correctly. Depends on the prevalence."""
        return _share(self.tp + self.tn, self.total)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def youden(self) -> float:
        """Youden's index: sensitivity + specificity - 1."""
        return self.sensitivity + self.specificity - 1

    @property
    def positive_likelihood_ratio(self) -> float:
        """Sensitivity per false-positive rate; infinite without a false positive."""
        rate = 1 - self.specificity
        return self.sensitivity / rate if rate or math.isnan(rate) else math.inf

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictive value."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mcc(self) -> float:
        """Matthews' correlation coefficient (1975)."""
        margins = (self.tp + self.fp) * (self.tp + self.fn) * (self.tn + self.fp) * (self.tn + self.fn)
        return _share(self.tp * self.tn - self.fp * self.fn, math.sqrt(margins))

    @property
    def kappa(self) -> float:
        """Cohen's kappa (1960) of decision and truth."""
        chance = (self.tp + self.fp) * (self.tp + self.fn) + (self.tn + self.fp) * (self.tn + self.fn)
        return _share(self.total * (self.tp + self.tn) - chance, self.total**2 - chance)

    def net_benefit(self, odds: float) -> float:
        """Net benefit per case: true positives less false positives, each of which costs ``odds`` (Vickers and Elkin 2006).

        Args:
            odds: p / (1 - p) of the risk p above which one would act; 1/9 accepts nine false alarms for a hit.
        """
        return _share(self.tp - odds * self.fp, self.total)


def counts_at(truth: np.ndarray, scores: np.ndarray, threshold: float) -> Counts:
    """Counts when cases with a score of at least ``threshold`` are called positive.

    Args:
        truth: a flag per case, shape ``(cases,)``.
        scores: same shape.
        threshold: chosen on other cases, such as by ``roc.youden_threshold``.
    """
    truth, called = np.asarray(truth, bool), np.asarray(scores) >= threshold
    pairs = ((truth, called), (truth, ~called), (~truth, called), (~truth, ~called))
    return Counts(*(int(np.count_nonzero(is_so & called_so)) for is_so, called_so in pairs))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
