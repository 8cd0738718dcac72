"""An example of each source or category: the case with the median lesion, in the slice through its middle."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.labels import class_codes
from freetumor.core.tables import CASES, make_table, read_table
from freetumor.preprocessing.store import open_array

from .archive import Sheet, write_sheet
from .slices import center_of, code_names, lesion_center, locate, spacing_of, tumor_lesions
from .tables import COHORT_PICTURES, COHORT_SHEET

SHOWN_BY = {  # by task: column whose values have an example each, and column with the size of the lesion
    "segmentation": ("source", "tumor_ml"),
    "classification": ("category", "diameter_mm"),
}


def collect_cohort(config: Config, cases: Path, output: Path) -> None:
    """Keep one slice per source or category.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        output: table of :data:`COHORT_SHEET`; its pictures, int16 HU and a label in the codes of the study, are written beside
            it.
    """
    column, _ = SHOWN_BY[config.task]
    rows, images, labels = [], [], []
    for case in example_cases(config, read_table(cases, CASES)):
        image, label = (open_array(locate(case[name], cases)) for name in COHORT_PICTURES)
        level = slice_to_show(case, cases, label[...])
        _, spacing_y, spacing_x = spacing_of(case)
        rows.append({"name": case[column], "case_id": case["case_id"], "level": level})
        rows[-1] |= {"spacing_y": spacing_y, "spacing_x": spacing_x}
        images.append(image[level])
        labels.append(study_codes(case, label[level], config))
    write_sheet(output, Sheet(make_table(rows, COHORT_SHEET), {"image": images, "label": labels}), COHORT_SHEET)


def example_cases(config: Config, table: pd.DataFrame) -> list[dict]:
    """One used case per source or category: the one with the median size of its lesion, or else the first with organs."""
    column, size = SHOWN_BY[config.task]
    used = table[table["excluded_because"].str.strip().eq("") & (table["organs"].ne("") | table["category"].ne(""))]
    order = {"source": [source.name for source in config.sources], "category": config.categories}[column]
    examples = []
    for name in [name for name in order if name in set(used[column])]:
        here = used[used[column] == name].sort_values([size, "case_id"])
        lesions = here[here["labeled"] & (here[size] > 0)]
        chosen = lesions.iloc[len(lesions) // 2] if len(lesions) else here.sort_values("case_id").iloc[0]
        examples.append(chosen.to_dict())
    return examples


def slice_to_show(case: Mapping, table: str | Path, label: np.ndarray) -> int:
    """The middle slice of the largest tumor, or else of the labeled structures."""
    lesions = tumor_lesions(case, table)
    if len(lesions):
        largest = lesions[np.argmax(lesions[:, 1])]
        return lesion_center(case, table, largest)[0]
    return center_of(label > 0, (0, 0, 0))[0]


def study_codes(case: Mapping, label: np.ndarray, config: Config) -> np.ndarray:
    """A label in the codes of the study, uint8; structures that the study does not know are background."""
    codes = class_codes(config.organs)
    table = np.zeros(256, np.uint8)
    for code, name in code_names(case).items():
        table[code] = codes.get(name, 0)
    return table[label]
