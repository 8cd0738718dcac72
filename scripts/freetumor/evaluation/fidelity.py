"""How like real ones synthetic images are, each measure beside what real images reach.

recognition         share of images of a category that the baseline recognizer, trained on real ones, assigns to it
                    (reference: the share of real test images)
similarity          mean structural similarity of random pairs of a category (real training images); much above it, the
                    generator has collapsed to few images. Over as many scales as the image allows: one at 32 x 32 pixels
                    (SSIM), two at 64 x 64 (MS-SSIM)
kernel_distance     kernel inception distance on the last layer of the baseline recognizer, from real test images (real training
                    images, as many). The recognizer knows the training images, so that this floor lies above zero
neighbor_distance   median distance to the nearest training image, root mean square in HU (real test images)
copies              share of images that are nearer to one training lesion, relative to the next one, than any real test image
                    (the share that is expected of real ones)

The training images of the last two are all that the generator learned from, its classic group included.

Reference:
    Wang et al. 2003 (MS-SSIM) and Odena et al. 2017 (its use for diversity); Binkowski et al. 2018 (kernel inception distance).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from freetumor.core.config import Config
from freetumor.core.device import prepare
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.recognition.classifier import class_probabilities, last_features, load_classifier, window_images
from freetumor.synthesis.bank import read_image
from freetumor.synthesizer.gan import training_images
from freetumor.synthesizer.regions import Region, open_regions, plain
from freetumor.synthesizer.synthetic import ACCEPTED

from .fidelity_table import FIDELITY
from .likeness import Bounded, cubic_kernel, half_samples, nearest_lesions, squared_discrepancy, structural_similarity
from .statistics.proportions import wilson_interval

PAIRS = 500  # of images whose similarity is averaged
TINY = 1e-12


@dataclass(frozen=True)
class Sample:
    """Images of one category.

    Attributes:
        images: float32 (samples, n, n), the window of the study as 0 to 1.
        assigned: categories that the recognizer finds (samples,).
        features: last layer of the recognizer (samples, 256).
        neighbors: distances to the nearest training lesion and to the next one (samples, 2).
    """

    images: np.ndarray
    assigned: np.ndarray
    features: np.ndarray
    neighbors: np.ndarray


def score_synthesis(config: Config, name: str, fold: int, cases: Path, manifest: Path, recognizer: Path, output: Path) -> None:
    """Compare the images of synthesizer ``name`` with real ones and write one row per category and measure.

    Args:
        config: the study.
        name: key of ``synthesizers``, of a painter of whole images.
        fold: the fold.
        cases: the fold table.
        manifest: the manifest of the synthesizer.
        recognizer: weights of the baseline recognizer of the fold.
        output: output table.

    Raises:
        UserError: if a category has fewer than two training, test or synthetic images.
    """
    device = prepare(config.compute)
    network = load_classifier(recognizer, config, device.torch)
    table = read_table(cases, FOLD_CASES)
    regions = {part: open_regions(table, config, part) for part in ("train", "test")}
    known, lesions = _learned_images(regions["train"], config.synthesizers[name].painter.group, config)

    def sample(images: Sequence[np.ndarray]) -> Sample:
        shown = window_images(images, config)
        found = class_probabilities(network, shown).argmax(axis=1)
        return Sample(shown, found, last_features(network, shown), nearest_lesions(shown, known, lesions))

    def of_category(part: str, index: int) -> Sample:
        return sample([plain(region, config) for region in regions[part] if region.category == index])

    rows = []
    every_test = sample([plain(region, config) for region in regions["test"]])
    for index, category in enumerate(config.categories):
        train, test = of_category("train", index), of_category("test", index)
        made = sample(_banked_images(manifest, category))
        for what, group in (("training", train), ("test", test), ("synthetic", made)):
            if len(group.images) < 2:
                raise UserError(f"{cases}: {len(group.images)} {what} images of '{category}'; at least two are compared")
        keys = [(config.seed, "fidelity", fold, category, kind) for kind in (f"synthetic {name}", "real")]
        found = _measures(config, index, train, test, made, every_test, *keys)
        rows += [{"fold": fold, "synthesizer": name, "category": category, **row} for row in found]
    write_table(make_table(rows, FIDELITY), output, FIDELITY)


def _measures(
    config: Config, index: int, train: Sample, test: Sample, made: Sample, every_test: Sample, *keys: tuple[str | int, ...]
) -> list[dict]:
    """All measures of category number ``index``; ``keys`` are the seed keys for synthetic and for real images."""
    confidence = config.evaluation.confidence
    count = min(len(train.images), len(made.images))
    threshold = _standing_out(every_test).min()
    expected = 1 / (len(every_test.images) + 1)  # chance that of so many and one more of the same kind, the one is most extreme
    pairs = {
        "recognition": [_share(sample.assigned == index, confidence) for sample in (made, test)],
        "similarity": [_similarity(sample.images, confidence, *key) for key, sample in zip(keys, (made, train), strict=True)],
        "kernel_distance": [
            _discrepancy(sample.features, test.features, count, confidence, *key)
            for key, sample in zip(keys, (made, train), strict=True)
        ],
        "neighbor_distance": [_nearest(sample, config, *key) for key, sample in zip(keys, (made, test), strict=True)],
        "copies": [_share(_standing_out(made) < threshold, confidence), (expected, np.nan, np.nan)],
    }
    real = {"similarity": len(train.images), "copies": len(every_test.images)}
    synthetic = {"kernel_distance": count}
    columns = ("value", "ci_low", "ci_high", "reference", "reference_low", "reference_high")
    return [
        {"measure": name, "n_real": real.get(name, len(test.images)), "n_synthetic": synthetic.get(name, len(made.images))}
        | dict(zip(columns, (*value, *reference), strict=True))
        for name, (value, reference) in pairs.items()
    ]


def _share(hits: np.ndarray, confidence: float) -> Bounded:
    return float(hits.mean()), *wilson_interval(float(hits.sum()), len(hits), confidence)


def _standing_out(sample: Sample) -> np.ndarray:
    """Distance to the nearest training lesion per distance to the next one: small for a copy, whatever the noise."""
    return sample.neighbors[:, 0] / np.maximum(sample.neighbors[:, 1], TINY)


def _nearest(sample: Sample, config: Config, *key: str | int) -> Bounded:
    """Median distance to the nearest training image, in HU."""
    low, high = config.working.window
    values = (high - low) * sample.neighbors[:, 0]
    rng = generator(*key, "nearest")
    return half_samples(lambda places: float(np.median(values[places])), [len(values)], config.evaluation.confidence, rng)


def _similarity(images: np.ndarray, confidence: float, *key: str | int) -> Bounded:
    """Mean similarity of random pairs. Images return in several pairs; the error is that of as many pairs as are disjoint."""
    rng, half = generator(*key, "pairs"), len(images) // 2
    rounds = [rng.permutation(len(images)) for _ in range(-(-PAIRS // half))]
    first, second = (np.concatenate([order[k : 2 * half : 2] for order in rounds])[:PAIRS] for k in (0, 1))
    values = structural_similarity(images[first], images[second])
    reach = float(stats.norm.ppf((1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(min(half, PAIRS)))
    return float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach


def _discrepancy(a: np.ndarray, b: np.ndarray, count: int, confidence: float, *key: str | int) -> Bounded:
    """Kernel distance of ``count`` random samples of ``a`` from ``b``."""
    rng = generator(*key, "discrepancy")
    a = a[rng.permutation(len(a))[:count]]
    aa, bb, ab = cubic_kernel(a, a), cubic_kernel(b, b), cubic_kernel(a, b)

    def statistic(x: np.ndarray, y: np.ndarray) -> float:
        return squared_discrepancy(aa[np.ix_(x, x)], bb[np.ix_(y, y)], ab[np.ix_(x, y)])

    return half_samples(statistic, [len(a), len(b)], confidence, rng)


def _learned_images(regions: Sequence[Region], group: int, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """All images that a generator learned from, and the lesion that each shows."""
    images, _ = training_images(regions, group, config)
    lesions = np.concatenate([np.arange(len(regions)), np.arange(group) % max(len(regions), 1)])
    return window_images(images, config), lesions


def _banked_images(manifest: Path, category: str) -> list[np.ndarray]:
    table = read_table(manifest, MANIFEST)
    rows = table[(table["outcome"] == ACCEPTED) & (table["organ"] == category)]
    return [read_image(manifest, row) for _, row in rows.iterrows()]
