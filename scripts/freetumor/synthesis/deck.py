"""A deck for a Visual Turing Test: real and synthetic images in equal number, shuffled, and a form to answer in.

Half of each category is real, from test cases that the generator has never seen, so that guessing "real" every time scores one
half. The key lies beside the folder that is given to a reader, not in it.

Reference:
    Frid-Adar et al. 2018, section 4.4: two questions per image, the category and whether it is real. Their deck had 182 real
    and 120 synthetic images: whoever always answers "real" is right in 60 %.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import atomic, write_text
from freetumor.core.seeding import derive_seed, generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, TEXT, Schema, make_table, read_table, write_table
from freetumor.synthesizer.painters import window_image
from freetumor.synthesizer.regions import open_regions, plain
from freetumor.synthesizer.synthetic import ACCEPTED

from .bank import read_image
from .form import answer_form

KEY = Schema("deck key", {"file": TEXT, "category": TEXT, "kind": TEXT, "origin": TEXT})
REAL, SYNTHETIC = "real", "synthetic"
SIDE = 256  # pixels of a deck image at least


def export_deck(config: Config, cases: Path, manifest: Path, output: Path) -> None:
    """Write a deck: ``deck/`` with the images and ``index.html``, and ``output``, the key, beside it.

    Args:
        config: the study.
        cases: the fold table; real images are of its test cases.
        manifest: the manifest of a synthesizer of whole images.
        output: output table (CSV): file, category, real or synthetic, and the case or lesion it comes from.

    Raises:
        UserError: if a category has no real or no synthetic image.
    """
    rows = read_table(manifest, MANIFEST)
    rows = rows[rows["outcome"] == ACCEPTED]
    if not len(rows):
        raise UserError(f"{manifest}: no image to make a deck of")
    # Decks of two folds or synthesizers must not be shuffled alike: whoever has seen one would know the other.
    key = (config.seed, "deck", rows["synthesizer"].iloc[0], int(rows["seed"].iloc[0]))
    regions = open_regions(read_table(cases, FOLD_CASES), config, "test")
    cards = []
    for index, category in enumerate(config.categories):
        real = {region.case_id: region for region in regions if region.category == index}
        made = rows[rows["organ"] == category].set_index("lesion_id", drop=False)
        count = _count(config, category, len(real), len(made))
        for name in _choose(sorted(real), count, *key, category, REAL):
            cards.append((category, REAL, name, plain(real[name], config)))
        for name in _choose(sorted(made.index), count, *key, category, SYNTHETIC):
            cards.append((category, SYNTHETIC, name, read_image(manifest, made.loc[name])))
    folder = output.parent / "deck"
    for old in [*folder.glob("*.png"), *folder.glob("index.html")]:
        old.unlink()
    key_rows = []
    for place in generator(*key, "order").permutation(len(cards)):
        category, kind, origin, image = cards[place]
        file = f"{derive_seed(*key, kind, origin):016x}.png"
        write_picture(folder / file, image, config.working.window)
        key_rows.append({"file": file, "category": category, "kind": kind, "origin": origin})
    write_text(
        folder / "index.html", answer_form(config.title or config.study, config.categories, [r["file"] for r in key_rows])
    )
    write_table(make_table(key_rows, KEY), output, KEY)


def write_picture(path: Path, image: np.ndarray, window: tuple[float, float]) -> None:
    """Write an image in HU (n, n) as an 8-bit PNG, enlarged to 256 pixels or the next multiple of n, without metadata.

    Real images are rounded to whole HU first, as the bank is, so that gray levels tell nothing.
    """
    gray = np.rint(window_image(np.rint(image), window) * 255).astype(np.uint8)
    side = -(-SIDE // gray.shape[0]) * gray.shape[0]
    buffer = io.BytesIO()
    Image.fromarray(gray).resize((side, side), Image.Resampling.BICUBIC).save(buffer, format="png")
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _count(config: Config, category: str, real: int, made: int) -> int:
    """How many images of each kind a category gets."""
    count = min(config.synthesis.deck_images, real, made)
    if not count:
        raise UserError(f"synthesis.deck_images: '{category}' has {real} real test and {made} synthetic images; needs both")
    if count < config.synthesis.deck_images:
        print(f"warning: deck: {count} instead of {config.synthesis.deck_images} images of '{category}'", file=sys.stderr)
    return count


def _choose(names: Sequence[str], count: int, *key: str | int) -> list[str]:
    return [str(name) for name in generator(*key).choice(names, count, replace=False)]
