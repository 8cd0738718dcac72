"""The last layer of recognizers as a map: real test regions and classic augmentations of them, by t-SNE."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from freetumor.core.config import Config
from freetumor.core.seeding import derive_seed, generator
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.figures import style
from freetumor.recognition.classifier import last_features, load_classifier, window_images
from freetumor.recognition.samples import labeled_part
from freetumor.synthesizer.regions import POOL, classic_sample, open_regions, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LESIONS = 150  # at most so many are drawn
AUGMENTED = 4  # classic augmentations of each
ORIGINAL, VARIANT = "original", "augmented"
PERPLEXITY = 30.0


def plot_embedding(config: Config, cases: str | Path, weights: Sequence[str | Path], output: str | Path) -> None:
    """Draw how recognizers tell the test regions of a fold apart, one panel each.

    Args:
        config: the study.
        cases: the fold table.
        weights: trained recognizers, ``recognition/<arm>/seed<k>/weights.safetensors``.
        output: path of the PNG; PDF and CSV are written beside it.

    Raises:
        UserError: if weights do not fit the network of the study.

    Reference:
        Frid-Adar et al. 2018, figure 9; van der Maaten and Hinton 2008.
    """
    points, images = embedded_regions(config, read_table(cases, FOLD_CASES))
    tables = [_embed(config, Path(path), points, images) for path in weights]
    table = pd.concat(tables, ignore_index=True)
    with style.styled():
        figure = style.new_figure(min(style.DOUBLE, 90.0 * len(tables)), 74 if len(tables) > 2 else 92)
        panels = figure.subplots(1, len(tables), squeeze=False)[0]
        for index, (axes, here) in enumerate(zip(panels, tables, strict=True)):
            if here.empty:
                style.say_empty(axes, "no labeled test cases")
                continue
            _draw_panel(axes, config, here)
            style.title(axes, chr(ord("a") + index), here["arm"].iloc[0])
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
        style.save(figure, output, table)


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


def _draw_panel(axes: "Axes", config: Config, table: pd.DataFrame) -> None:
    """Augmented points small and pale, originals above them; a map has no axes, so it has a frame instead."""
    colors, markers = style.category_colors(config.categories), style.arm_markers(config.categories)
    for category in config.categories:
        color, marker = colors[category], markers[category]
        here = table[table["category"] == category]
        augmented, original = here[here["kind"] == VARIANT], here[here["kind"] == ORIGINAL]
        axes.scatter(augmented["x"], augmented["y"], 5, color, alpha=0.45, linewidths=0)
        look = {"marker": marker, "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
        axes.scatter(original["x"], original["y"], 20, color, label=style.readable(category), **look)
    axes.scatter([], [], 5, style.MUTED, linewidths=0, label="classic augmentation")
    originals = table[table["kind"] == ORIGINAL]
    share = 100 * originals["nearest_agrees"].mean()
    axes.set_xlabel(f"nearest other lesion of the same category:\n{share:.0f} % of {len(originals)} lesions")
    axes.set(xticks=[], yticks=[], xmargin=0.06, ymargin=0.06)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.GRID)
