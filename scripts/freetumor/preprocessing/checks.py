"""Is it CT in Hounsfield units? A verdict from the histogram, by rules that are stated and measured.

A CT shows air near -1000 HU and soft tissue near 0 to 80 HU. A crop may lie inside the body and show no air, padding may
lie far below -1024 HU, and intensities may be clipped above at 1023 HU: all of that is accepted.
"""

import numpy as np

from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused

LOWEST = -1024  # HU; what lies below is padding
ZERO = 32768  # place of 0 HU in the histogram
AIR = (-1100, -850)
SOFT = (-150, 200)
FEWEST_VALUES = 300  # different intensities without a negative one; an 8-bit image has at most 256
FEWEST_SIGNED = 64  # different intensities with negative ones: a small crop inside muscle has little contrast
SHIFTS = (-1024, -1000, 1000, 1024)  # by which faulty conversions are off
SOME_AIR = 0.005  # share of voxels
SOME_SOFT = 0.01
SHIFTED = 0.05  # least shares of air and soft tissue that prove a shift; dense bone alone reaches less
MUCH_SOFT = 0.4  # least share of soft tissue in a crop without air
SLAB = 2**19  # voxels counted at a time: their copies stay in the processor's cache


def histogram(array: np.ndarray) -> np.ndarray:
    """Count of each ``int16`` value, from -32768 upward."""
    counts = count_levels(np.ascontiguousarray(array).view(np.uint16), 2**16)
    return np.roll(counts, ZERO)  # negative values come after the positive ones in the view


def count_levels(array: np.ndarray, levels: int) -> np.ndarray:
    """Count of each of the integers 0, 1, ... below ``levels``."""
    counts = np.zeros(levels, np.int64)
    values = array.reshape(-1)
    for start in range(0, len(values), SLAB):
        counts += np.bincount(values[start : start + SLAB], minlength=levels)
    return counts


def check_hounsfield(array: np.ndarray, path: object) -> None:
    """Refuse an image that is not CT in Hounsfield units.

    Args:
        array: ``int16``, before padding is clipped.
        path: the file, for the report.

    Raises:
        CaseRefused: ``image_constant``, ``image_few_values``, ``hu_windowed``, ``hu_offset``, ``hu_inverted`` or
            ``hu_not_ct``.
    """
    counts = histogram(array)
    values = np.flatnonzero(counts) - ZERO
    if len(values) == 1:
        raise CaseRefused("image_constant", path, f"every voxel is {values[0]}")
    fewest = FEWEST_VALUES if values[0] >= 0 else FEWEST_SIGNED
    if len(values) <= fewest:
        text = f"only {len(values)} different values, more than {fewest} are expected"
        raise CaseRefused("image_few_values", path, text)
    counts = _without_padding(counts)
    shares = counts / counts.sum()
    lowest = int(np.flatnonzero(counts)[0]) - ZERO
    air, soft = _share(shares, *AIR), _share(shares, *SOFT)
    here = min(air, soft)
    proof = max(5 * here, SHIFTED)
    # A shift by 1000 and a change of sign look alike but for bone, which only the latter brings below soft tissue.
    if lowest < -200 and min(_share(shares, -AIR[1], -AIR[0]), _share(shares, -SOFT[1], -SOFT[0])) > proof:
        raise CaseRefused("hu_inverted", path, "intensities fit CT only with the opposite sign")
    for shift in SHIFTS:
        there = min(_share(shares, AIR[0] - shift, AIR[1] - shift), _share(shares, SOFT[0] - shift, SOFT[1] - shift))
        if there > proof and _is_peak(shares, -shift):
            raise CaseRefused("hu_offset", path, f"intensities fit CT only if {shift:+d} is added")
    if lowest > -500 and shares[lowest + ZERO] > 0.1:
        text = f"{shares[lowest + ZERO]:.0%} of the voxels have the lowest value, {lowest}: a display window or no CT"
        raise CaseRefused("hu_windowed" if lowest < 0 else "hu_not_ct", path, text)
    if air >= SOME_AIR and soft >= SOME_SOFT:
        return
    if lowest < 0 and soft >= MUCH_SOFT and _share(shares, -2000, 0) > 0.001:
        return  # a crop inside the body
    raise CaseRefused("hu_not_ct", path, f"air {air:.1%}, soft tissue {soft:.1%} of the voxels")


def clip_padding(volume: Volume) -> Volume:
    """Set values below -1024 HU to -1024, and note it."""
    if volume.array.min() >= LOWEST:
        return volume
    return Volume(np.maximum(volume.array, np.int16(LOWEST)), volume.affine, volume.notes).noted("padding_clipped")


def _share(shares: np.ndarray, low: int, high: int) -> float:
    """Share of the voxels from ``low`` to ``high`` HU."""
    return float(shares[max(0, low + ZERO) : high + ZERO + 1].sum())


def _without_padding(counts: np.ndarray) -> np.ndarray:
    """The histogram without the lowest value, if that is far below air, and nothing else is near it."""
    lowest = int(np.flatnonzero(counts)[0])
    if lowest - ZERO < AIR[0] and counts[lowest + 1 : lowest + 100].sum() < 0.01 * counts[lowest]:
        counts = counts.copy()
        counts[lowest] = 0
    return counts


def _is_peak(shares: np.ndarray, center: int) -> bool:
    """Whether soft tissue, if 0 HU were at ``center``, were a narrow peak and not the slope of something broad."""
    near = _share(shares, center - 150, center + 200) / 350
    around = (_share(shares, center - 500, center - 250) + _share(shares, center + 350, center + 600)) / 500
    return near > 3 * around
