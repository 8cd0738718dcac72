"""Random images of each category: real ones, and those of each synthesizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table
from freetumor.synthesis.bank import read_image
from freetumor.synthesizer.regions import open_regions, plain
from freetumor.synthesizer.synthetic import ACCEPTED

from .archive import Sheet, write_sheet
from .tables import EXAMPLES, REAL, SAMPLE_SHEET


@dataclass(frozen=True)
class Row:
    """Images in HU (n, n) of one category and kind, and where they come from."""

    category: str
    kind: str
    names: list[str]
    images: list[np.ndarray]


def collect_samples(config: Config, cases: Path, manifests: Sequence[Path], output: Path) -> None:
    """Draw random real and synthetic images of each category, and keep them.

    Args:
        config: the study.
        cases: a fold table; real images are drawn from its training cases, which the generators have learned from.
        manifests: tables of ``core.tables.MANIFEST`` of synthesizers of whole images, of the same fold.
        output: table of :data:`SAMPLE_SHEET`; its pictures are written beside it.
    """
    found = sample_rows(config, cases, manifests)
    rows = [
        {"category": row.category, "kind": row.kind, "column": column, "image": name}
        | {"mean_hu": float(image.mean()), "sd_hu": float(image.std())}
        for row in found
        for column, (name, image) in enumerate(zip(row.names, row.images, strict=True))
    ]
    pictures = {"image": [image for row in found for image in row.images]}
    write_sheet(output, Sheet(make_table(rows, SAMPLE_SHEET), pictures), SAMPLE_SHEET)


def sample_rows(config: Config, cases: Path, manifests: Sequence[Path]) -> list[Row]:
    """Random images of each category and kind, in an order that belongs to the study's seed."""
    regions = open_regions(read_table(cases, FOLD_CASES), config, "train")
    tables = {}
    for path in manifests:
        table = read_table(path, MANIFEST)
        for name, part in table[table["outcome"] == ACCEPTED].groupby("synthesizer"):
            tables[str(name)] = (Path(path), part)
    rows = []
    for index, category in enumerate(config.categories):
        real = {region.case_id: region for region in regions if region.category == index}
        chosen = _choose(config, category, REAL, real)
        rows.append(Row(category, REAL, chosen, [plain(real[name], config) for name in chosen]))
        for kind in sorted(tables):
            path, table = tables[kind]
            made = table[table["organ"] == category].set_index("lesion_id", drop=False)
            chosen = _choose(config, category, kind, made.index)
            rows.append(Row(category, kind, chosen, [read_image(path, made.loc[name]) for name in chosen]))
    return rows


def _choose(config: Config, category: str, kind: str, names: Sequence[str]) -> list[str]:
    names = sorted(map(str, names))
    rng = generator(config.seed, "figures", "samples", category, kind)
    return [names[place] for place in rng.permutation(len(names))[:EXAMPLES]]
