"""The key of a deck and what readers answered, checked before anybody computes with them.

Cards of the key are ``real`` or ``synthetic``; a deck may also hold ``crude`` fakes that everybody should see, and ``practice``
cards that do not count. A card whose image (``origin``) was shown before is a hidden repeat.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.tables import TEXT, Schema, read_table
from freetumor.evaluation.statistics.multireader import Design
from freetumor.synthesis.form import KINDS

if TYPE_CHECKING:
    import pandas as pd

REAL, SYNTHETIC = KINDS
CRUDE, PRACTICE = "crude", "practice"
RATINGS = 6  # 1 surely real ... 6 surely synthetic
SAYS_SYNTHETIC = 4  # this rating and higher
LEAST_ANSWERED = 0.5  # readers who answered fewer of the cards are not averaged
BOTH, CASES = "Obuchowski-Rockette, readers and cases random", "cases random, this reader only"
MEAN, ALL = "mean", "all"  # readers of rows that are about several
KEY = Schema("deck key", {"file": TEXT, "category": TEXT, "kind": TEXT, "origin": TEXT}, open=True)
COLUMNS = ("reader", "case", "rating")  # of the answers, and `seconds` if times were taken
FORM = {"file": "case", "kind": "rating"}  # how the deck's own form calls them
ENDS = {REAL: "1", SYNTHETIC: str(RATINGS)}


@dataclass(frozen=True)
class Study:
    """Answers of all readers to the cards that count, and to the others.

    Attributes:
        readers: names, sorted.
        cards: the cards that count, with ``file``, ``category``, ``kind``, ``origin``.
        truth: whether each is synthetic, shape ``(cards,)``.
        ratings: 1 to 6, NaN where not answered, shape ``(readers, cards)``.
        crude: ratings of crude fakes, shape ``(readers, crude fakes)``.
        first: ratings of the cards that were shown again, shape ``(readers, repeats)``.
        again: ratings of their repeats, same shape.
        seconds: times of the answers to the cards that count, shape as ``ratings``; all NaN if none were taken.
    """

    readers: list[str]
    cards: "pd.DataFrame"
    truth: np.ndarray
    ratings: np.ndarray
    crude: np.ndarray
    first: np.ndarray
    again: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Readers who are averaged, on the cards that all of them answered.

    Attributes:
        truth: whether each card is synthetic, shape ``(cards,)``.
        ratings: shape ``(readers, cards)``, complete.
        categories: of the cards, shape ``(cards,)``.
        note: what was left out.
    """

    truth: np.ndarray
    ratings: np.ndarray
    categories: np.ndarray
    note: str

    @property
    def counts(self) -> dict[str, int]:
        """The columns of numbers of readers and cards."""
        return {"readers": len(self.ratings), "n": self.truth.size}

    @property
    def design(self) -> tuple[Design, str]:
        """What is random, and in words: one reader is no sample of readers."""
        return ("random", BOTH) if len(self.ratings) > 1 else ("fixed_readers", CASES)

    @property
    def enough(self) -> bool:
        """Whether both kinds were answered, by anybody, often enough to know a spread."""
        return len(self.ratings) > 0 and min(np.count_nonzero(self.truth), np.count_nonzero(~self.truth)) > 1

    def of(self, category: str) -> "Panel":
        """The cards of one category."""
        chosen = self.categories == category
        return Panel(self.truth[chosen], self.ratings[:, chosen], self.categories[chosen], self.note)


def read_study(answers_path: str | Path, key_path: str | Path) -> Study:
    """Read and check both tables, and join them.

    Raises:
        UserError: if a table is missing or has no fitting columns; if the key names a card twice or a kind that is none; if
            an answer is of a card that is not in the key, is given twice, or is no rating from 1 to 6; or if nobody answered.
    """
    key = read_key(key_path)
    answers = read_answers(answers_path, key, key_path)
    readers = sorted(set(answers["reader"]))
    shown = key[key["kind"] != PRACTICE]
    repeated = (shown["origin"] != "") & shown.duplicated(["kind", "origin"])
    repeats, cards = shown[repeated], shown[~repeated & (shown["kind"] != CRUDE)].reset_index(drop=True)
    originals = {(row.kind, row.origin): row.file for row in shown[~repeated].itertuples()}
    first = [originals[row.kind, row.origin] for row in repeats.itertuples()]

    def answered(column: str, files: "list[str] | pd.Series") -> np.ndarray:
        wide = answers.pivot(index="reader", columns="case", values=column)
        return wide.reindex(index=readers, columns=list(files)).to_numpy(float)

    return Study(
        readers,
        cards,
        (cards["kind"] == SYNTHETIC).to_numpy(),
        answered("rating", cards["file"]),
        answered("rating", shown.loc[~repeated & (shown["kind"] == CRUDE), "file"]),
        answered("rating", first),
        answered("rating", repeats["file"]),
        answered("seconds", cards["file"]),
    )


def choose_panel(study: Study) -> Panel:
    """Readers who answered half of the cards or more, on the cards that all of them answered; the note says what is missing."""
    answered = ~np.isnan(study.ratings)
    many = answered.mean(axis=1) >= LEAST_ANSWERED if study.truth.size else np.zeros(len(answered), bool)
    common = answered[many].all(axis=0)
    notes = []
    if not many.all():
        left_out = ", ".join(name for name, kept in zip(study.readers, many, strict=True) if not kept)
        notes.append(f"without {left_out}, who answered fewer than half of the cards")
    if not common.all():
        notes.append(f"on {np.count_nonzero(common)} of {common.size} cards, those that every averaged reader answered")
    categories = study.cards["category"].to_numpy(str)[common]
    return Panel(study.truth[common], study.ratings[many][:, common], categories, "; ".join(notes))


def read_key(path: str | Path) -> "pd.DataFrame":
    """The key: a row per card, in the order in which they were shown."""
    key = read_table(path, KEY)
    if key["file"].duplicated().any():
        raise UserError(f"{path}: card '{key.loc[key['file'].duplicated(), 'file'].iloc[0]}' is in the key twice")
    kinds = (*KINDS, CRUDE, PRACTICE)
    wrong = key[~key["kind"].isin(kinds)]
    if len(wrong):
        raise UserError(
            f"{path}: kind of '{wrong['file'].iloc[0]}': expected {', '.join(kinds)}, got '{wrong['kind'].iloc[0]}'"
        )
    return key


def read_answers(path: str | Path, key: "pd.DataFrame", key_path: str | Path) -> "pd.DataFrame":
    """One row per reader and card: ``reader``, ``case``, ``rating`` (NaN: not answered) and ``seconds``.

    The deck's own form calls the card ``file`` and the answer ``kind``; "real" and "synthetic" are the ends of the scale.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a table of answers (CSV): {error}") from error
    frame = frame.rename(columns={own: name for own, name in FORM.items() if name not in frame})
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise UserError(f"{path}: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    frame = frame.assign(rating=frame["rating"].str.strip().replace(ENDS), reader=frame["reader"].str.strip())
    _check_answers(path, frame, set(key["file"]), key_path)
    return frame.assign(rating=pd.to_numeric(frame["rating"]), seconds=_seconds(path, frame))


def _check_answers(path: str | Path, frame: "pd.DataFrame", cards: set[str], key_path: str | Path) -> None:
    import pandas as pd

    given = (frame["rating"] != "").to_numpy()
    if not given.any():
        raise UserError(f"{path}: expected answers, found none")
    for name, problem in {"": "an answer without a reader", MEAN: "reserved", ALL: "reserved"}.items():
        if (frame["reader"] == name).any():
            raise UserError(f"{path}: reader '{name}': {problem}; give every reader a name of their own")
    where = ("reader '" + frame["reader"] + "', case '" + frame["case"] + "'").to_numpy()
    unknown = ~frame["case"].isin(cards).to_numpy()
    if unknown.any():
        raise UserError(f"{path}: {where[unknown][0]}: expected a card of the key, {key_path}")
    wrong = given & ~pd.to_numeric(frame["rating"], errors="coerce").isin(range(1, RATINGS + 1)).to_numpy()
    if wrong.any():
        got = frame["rating"][wrong].iloc[0]
        raise UserError(f"{path}: {where[wrong][0]}: expected a rating from 1 (surely real) to {RATINGS}, got '{got}'")
    twice = frame.duplicated(["reader", "case"]).to_numpy()
    if twice.any():
        raise UserError(f"{path}: {where[twice][0]}: expected one answer, found two or more")


def _seconds(path: str | Path, frame: "pd.DataFrame") -> "pd.Series | float":
    """Times as numbers; NaN where none was taken."""
    import pandas as pd

    if "seconds" not in frame:
        return np.nan
    times = pd.to_numeric(frame["seconds"].str.strip(), errors="coerce")
    wrong = (times.isna() & (frame["seconds"].str.strip() != "")) | (times < 0)
    if wrong.any():
        raise UserError(f"{path}: seconds: expected a time or nothing, got '{frame['seconds'][wrong].iloc[0]}'")
    return times
