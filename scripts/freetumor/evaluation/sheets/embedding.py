"""The last layer of recognizers as a map: real test regions and classic augmentations of them, by t-SNE."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from freetumor.core.config import Config
from freetumor.core.seeding import derive_seed, generator
from freetumor.core.tables import FOLD_CASES, read_table, write_table
from freetumor.recognition.classifier import last_features, load_classifier, window_images
from freetumor.recognition.samples import labeled_part
from freetumor.synthesizer.regions import POOL, classic_sample, open_regions, plain

from .tables import EMBEDDING, ORIGINAL, VARIANT

LESIONS = 150  # at most so many are shown
AUGMENTED = 4  # classic augmentations of each
PERPLEXITY = 30.0


def collect_embedding(config: Config, cases: Path, weights: Sequence[Path], output: Path) -> None:
    """Map how recognizers tell the test regions of a fold apart.

    Args:
        config: the study.
        cases: the fold table.
        weights: trained recognizers, ``recognition/<arm>/seed<k>/weights.safetensors``.
        output: table of :data:`EMBEDDING`.

    Raises:
        UserError: if weights do not fit the network of the study.

    Reference:
        Frid-Adar et al. 2018, figure 9; van der Maaten and Hinton 2008.
    """
    points, images = embedded_regions(config, read_table(cases, FOLD_CASES))
    tables = [_embed(config, Path(path), points, images) for path in weights]
    write_table(pd.concat(tables, ignore_index=True), output, EMBEDDING)


def embedded_regions(config: Config, table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Real test regions, each followed by classic augmentations of it.

    Args:
        config: the study.
        table: the fold table.

    Returns:
        A table ``case_id category kind`` of the points, and their images (points, n, n) in 0 to 1.
    """
    regions = open_regions(labeled_part(table, "test"), config, "test")
    order = generator(config.seed, "figures", "embedding").permutation(len(regions))
    rows, images = [], []
    for region in (regions[index] for index in sorted(order[:LESIONS])):
        numbers = generator(config.seed, "figures", "embedding", region.case_id).choice(POOL, AUGMENTED, replace=False)
        images += [plain(region, config), *(classic_sample(region, int(number), config) for number in numbers)]
        category = config.categories[region.category]
        rows += [(region.case_id, category, kind) for kind in [ORIGINAL] + [VARIANT] * AUGMENTED]
    return pd.DataFrame(rows, columns=["case_id", "category", "kind"]), window_images(images, config)


def tsne(features: np.ndarray, seed: int) -> np.ndarray:
    """A map (points, 2) of features (points, n): t-SNE from the principal axes, on one thread so that sums do not differ."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(features) < 4:  # too few for neighborhoods, or for two principal axes
        return np.zeros((len(features), 2), np.float32)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(features)


def nearest_agrees(features: np.ndarray, cases: Sequence[str], categories: Sequence[str]) -> np.ndarray:
    """Whether the nearest point of another case has the same category, bool (points,): a number that the map cannot bend."""
    squares = (features**2).sum(axis=1)
    distance = squares[:, None] + squares[None] - 2 * features @ features.T
    cases, categories = np.asarray(cases), np.asarray(categories)
    distance[cases[:, None] == cases[None]] = np.inf
    return categories[distance.argmin(axis=1)] == categories


def _embed(config: Config, weights: Path, points: pd.DataFrame, images: np.ndarray) -> pd.DataFrame:
    network = load_classifier(weights, config, torch.device("cpu"))
    arm = weights.parent.parent.name
    if points.empty:
        return points.assign(arm=arm, x=0.0, y=0.0, nearest_agrees=False)
    features = last_features(network, images)
    x, y = tsne(features, derive_seed(config.seed, "figures", "embedding", "map")).T
    agrees = nearest_agrees(features.astype(np.float64), points["case_id"], points["category"])
    return points.assign(arm=arm, x=x, y=y, nearest_agrees=agrees)
