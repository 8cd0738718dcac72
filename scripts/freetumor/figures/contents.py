"""What the cases of a cohort hold, per task: tumors in organs, or lesions of a category."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.labels import organ_of
from freetumor.figures import style
from freetumor.figures.flow import annotation

if TYPE_CHECKING:
    import pandas as pd

TUMORS = {"with tumor": style.CYCLE[1], "tumor-free": style.CYCLE[0], "unlabeled": style.FAINT}
SEVERAL = "several classes"


@dataclass(frozen=True)
class Contents:
    """How the cohort of a task is drawn.

    Attributes:
        kinds: colors of the kinds of cases.
        kind: the kind of each case.
        size: column with the size of a lesion.
        sized: from the table of cases to those with a lesion: ``source case_id group`` and the size.
        groups: groups of lesions, in order.
        title: of the panel of sizes.
        label: of its axis.
        scale_mm: length of the scale bar of the examples.
    """

    kinds: Callable[[Config], dict[str, str]]
    kind: "Callable[[pd.DataFrame], pd.Series]"
    size: str
    sized: "Callable[[pd.DataFrame], pd.DataFrame]"
    groups: Callable[[Config], list[str]]
    title: str
    label: str
    scale_mm: float

    def color(self, config: Config, group: str) -> str:
        """The color of a group of lesions: its own if it is a kind of case, or else one for all."""
        return self.kinds(config).get(group, TUMORS["with tumor"])


def tumor_rows(table: "pd.DataFrame") -> "pd.DataFrame":
    """Annotated cases with tumor: ``source case_id group tumor_ml``, where group is the tumor class."""
    found = table[table["labeled"] & (table["tumor_ml"] > 0)]
    group = found["tumors"].map(lambda names: SEVERAL if "," in names else organ_of(names))
    return found.assign(group=group)[["source", "case_id", "group", "tumor_ml"]]


def lesion_rows(table: "pd.DataFrame") -> "pd.DataFrame":
    """Lesions of a known category: ``source case_id group diameter_mm``, where group is the category."""
    found = table[(table["category"] != "") & table["diameter_mm"].notna()]
    return found.assign(group=found["category"])[["source", "case_id", "group", "diameter_mm"]]


CONTENTS = {
    "segmentation": Contents(
        lambda config: TUMORS,
        annotation,
        "tumor_ml",
        tumor_rows,
        lambda config: config.organs,
        "Tumor volume per case",
        "tumor volume (mL); line: median",
        50.0,
    ),
    "classification": Contents(
        lambda config: style.category_colors(config.categories),
        lambda table: table["category"],
        "diameter_mm",
        lesion_rows,
        lambda config: config.categories,
        "Lesion diameter",
        "lesion diameter (mm); line: median",
        10.0,
    ),
}
