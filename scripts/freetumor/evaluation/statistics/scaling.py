"""How an error falls with the number of training samples: power laws beside a line in the logarithm and no trend at all.

    power          error = floor + gain * (n / n0)^-exponent,   floor, gain, exponent >= 0
    pure power     error = gain * (n / n0)^-exponent,           gain >= 0
    logarithmic    error = level + slope * log(n / n0)
    constant       error = level

``n0`` is the smallest size, so that ``gain`` of the first is what more data can at most remove of the error there. All
trainings enter, not means per size. Five seeds are too few for a percentile bootstrap, whose interval of the exponent misses
the truth far too often; intervals are those of linearization with Student's t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import optimize, stats

REACH = 4.0  # curves are read at most this factor beyond the data
SIZES, SEEDS = 6, 5  # fewer than these, and the fit says so
STEEPEST = 5.0


@dataclass(frozen=True)
class Family:
    """A kind of curve: a sum of ``constant``, ``log x`` and ``x^-exponent`` terms, with x the size relative to the smallest.

    Attributes:
        name: of the curve.
        parameters: their names, the coefficients of the terms first.
        constant: whether there is a constant term.
        logarithm: whether there is a logarithmic term.
        gentlest: least exponent, if there is a power term.
    """

    name: str
    parameters: tuple[str, ...]
    constant: bool = True
    logarithm: bool = False
    gentlest: float | None = None

    @property
    def lower(self) -> tuple[float, ...]:
        """Lower bounds of the parameters."""
        if self.gentlest is None:
            return (-math.inf,) * len(self.parameters)
        return (0.0,) * (len(self.parameters) - 1) + (self.gentlest if self.gentlest == 0 else -math.inf,)

    def terms(self, x: np.ndarray, exponent: float = 0.0) -> np.ndarray:
        """What the coefficients multiply, shape ``(points, coefficients)``."""
        columns = [np.ones_like(x)] if self.constant else []
        columns += [np.log(x)] if self.logarithm else []
        columns += [x**-exponent] if self.gentlest is not None else []
        return np.stack(columns, axis=1)

    def curve(self, x: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The curve, shape ``(points,)``."""
        return self.terms(x) @ values if self.gentlest is None else self.terms(x, values[-1]) @ values[:-1]

    def slopes(self, x: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Derivatives with respect to the parameters, shape ``(points, parameters)``."""
        if self.gentlest is None:
            return self.terms(x)
        gain, exponent = values[-2:]
        return np.column_stack([self.terms(x, exponent), -gain * np.log(x) * x**-exponent])


POWER = Family("power", ("floor", "gain", "exponent"), gentlest=0.0)
PURE_POWER = Family("pure power", ("gain", "exponent"), constant=False, gentlest=-STEEPEST)
LOGARITHMIC = Family("logarithmic", ("level", "slope"), logarithm=True)
CONSTANT = Family("constant", ("level",))
FAMILIES = (POWER, PURE_POWER, LOGARITHMIC, CONSTANT)


@dataclass(frozen=True)
class Fit:
    """A fitted curve.

    Attributes:
        family: which curve.
        values: its parameters.
        covariance: of the parameters, by linearization; NaN if the data cannot tell them apart.
        sizes: what it was fitted to, shape ``(points,)``.
        residuals: observed minus fitted error, same shape; look at them before believing the curve.
        aicc: Akaike's criterion, corrected for few points; smaller is better. Only differences mean something.
        notes: what the data lack.
    """

    family: Family
    values: np.ndarray
    covariance: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    aicc: float
    notes: tuple[str, ...]

    @property
    def degrees(self) -> int:
        """Residual degrees of freedom."""
        return self.sizes.size - self.values.size

    @property
    def residual_sum(self) -> float:
        """Sum of squared residuals."""
        return float(np.sum(self.residuals**2))

    def interval(self, name: str, confidence: float) -> tuple[float, float, float]:
        """A parameter with its interval, which ends at the bounds of the parameter."""
        place = self.family.parameters.index(name)
        value, half = float(self.values[place]), self._half(math.sqrt(self.covariance[place, place]), confidence)
        low = value - half
        return value, float(low if math.isnan(low) else max(low, self.family.lower[place])), float(value + half)

    def predict(self, sizes: Sequence[float], confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The curve and pointwise bounds of its interval, each of shape ``(sizes,)``: of the mean, not of a new training.

        Raises:
            ValueError: if a size is more than a factor of 4 beyond the data.
        """
        wanted, low, high = np.asarray(sizes, float), float(self.sizes.min()), float(self.sizes.max())
        outside = wanted[(wanted < low / REACH) | (wanted > high * REACH)]
        if outside.size:
            raise ValueError(
                f"n = {outside[0]:g} is more than {REACH:g} times beyond the data, which go from {low:g} to {high:g}"
            )
        value, slopes = self.family.curve(wanted / low, self.values), self.family.slopes(wanted / low, self.values)
        half = self._half(np.sqrt(np.einsum("ni,ij,nj->n", slopes, self.covariance, slopes)), confidence)
        return value, value - half, value + half

    def _half(self, error: np.ndarray | float, confidence: float) -> np.ndarray | float:
        return stats.t.ppf((1 + confidence) / 2, self.degrees) * error


def fit(family: Family, sizes: Sequence[float], errors: Sequence[float]) -> Fit:
    """Fit a curve by least squares within the bounds of its parameters.

    Args:
        family: which curve.
        sizes: numbers of training samples, one entry per training.
        errors: such as 1 - Dice; same length.

    Raises:
        ValueError: if a size is not positive, an error is not finite, or there are too few sizes or trainings to tell.
    """
    sizes, errors = np.asarray(sizes, float), np.asarray(errors, float)
    count = len(family.parameters)
    if sizes.ndim != 1 or sizes.shape != errors.shape or not (sizes > 0).all() or not np.isfinite(errors).all():
        raise ValueError("expected a finite error for each positive size")
    distinct, trainings = np.unique(sizes, return_counts=True)
    if distinct.size < count or sizes.size < count + 3:
        got = f"got {distinct.size} and {sizes.size}"
        raise ValueError(f"a {family.name} curve needs {count} sizes and {count + 3} trainings, {got}")
    x = sizes / distinct[0]
    values = _least_squares(family, x, errors)
    residuals, slopes = errors - family.curve(x, values), family.slopes(x, values)
    notes = [f"{distinct.size} sizes, fewer than {SIZES}"] if distinct.size < SIZES else []
    notes += [f"{trainings.min()} trainings of a size, fewer than {SEEDS}"] if trainings.min() < SEEDS else []
    covariance = np.full((count, count), math.nan)
    if np.linalg.matrix_rank(slopes) < count:
        notes.append("no trend: the parameters cannot be told apart")
    else:
        covariance = float(np.sum(residuals**2)) / (sizes.size - count) * np.linalg.inv(slopes.T @ slopes)
    return Fit(family, values, covariance, sizes, residuals, _aicc(residuals, count), tuple(notes))


def compare(sizes: Sequence[float], errors: Sequence[float]) -> list[tuple[Fit, float]]:
    """Fit all curves that the data allow, the best first, each with its Akaike weight.

    The weight is the evidence for a curve among these (Burnham and Anderson 2002). A curve that is not clearly better than a
    constant is no scaling law.

    Raises:
        ValueError: if not even a constant can be fitted.
    """
    sizes = np.asarray(sizes, float)
    enough = [f for f in FAMILIES if np.unique(sizes).size >= len(f.parameters) and sizes.size >= len(f.parameters) + 3]
    fits = sorted((fit(family, sizes, errors) for family in enough or [CONSTANT]), key=lambda found: found.aicc)
    scores = np.exp(-0.5 * np.array([found.aicc - fits[0].aicc for found in fits]))
    return [(found, float(score / scores.sum())) for found, score in zip(fits, scores, strict=True)]


def _least_squares(family: Family, x: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Parameters with the least sum of squares. Given the exponent, the coefficients are a linear problem."""
    if family.gentlest is None:
        return np.linalg.lstsq(family.terms(x), errors)[0]

    def misfit(exponent: float) -> float:
        return float(optimize.nnls(family.terms(x, exponent), errors)[1])

    # A coarse search first: the misfit may have more than one minimum.
    exponents = np.linspace(family.gentlest, STEEPEST, 101)
    start = int(np.argmin([misfit(exponent) for exponent in exponents]))
    bracket = exponents[max(start - 1, 0)], exponents[min(start + 1, exponents.size - 1)]
    exponent = float(optimize.minimize_scalar(misfit, bounds=bracket, options={"xatol": 1e-10}).x)
    return np.append(optimize.nnls(family.terms(x, exponent), errors)[0], exponent)


def _aicc(residuals: np.ndarray, count: int) -> float:
    """Corrected criterion of a normal model (Hurvich and Tsai 1989); the variance is one more parameter."""
    n, k = residuals.size, count + 1
    return n * math.log(max(float(np.mean(residuals**2)), 1e-300)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
