"""Names of structures and their integer codes.

An organ ``liver`` has one tumor class, ``liver_tumor``. A study lists its organs; organ ``i`` has code ``2 i + 1`` and its
tumor ``2 i + 2``. For liver, pancreas and kidney these are the seven classes of Wu et al. 2025.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

BACKGROUND = "background"
TUMOR_SUFFIX = "_tumor"
STRUCTURE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def tumor_of(organ: str) -> str:
    """``liver`` → ``liver_tumor``."""
    return organ + TUMOR_SUFFIX


def is_tumor(name: str) -> bool:
    """Whether a structure name is a tumor class."""
    return name.endswith(TUMOR_SUFFIX)


def organ_of(name: str) -> str:
    """``liver_tumor`` → ``liver``; an organ is returned as it is."""
    return name.removesuffix(TUMOR_SUFFIX)


def class_names(organs: Sequence[str]) -> list[str]:
    """All class names of a study, by code."""
    return [BACKGROUND] + [name for organ in organs for name in (organ, tumor_of(organ))]


def class_codes(organs: Sequence[str]) -> dict[str, int]:
    """Code of each class name of a study."""
    return {name: code for code, name in enumerate(class_names(organs))}


def organ_code(index: int) -> int:
    """Code of the organ at position ``index`` of the study's organ list."""
    return 2 * index + 1


def tumor_code(index: int) -> int:
    """Code of the tumor of the organ at position ``index`` of the study's organ list."""
    return 2 * index + 2


def annotated_tumors(organs: Sequence[str], annotated: Collection[str]) -> list[str]:
    """Tumor classes of a study that a case's annotation decides on.

    Args:
        organs: organs of the study.
        annotated: names that the case's label array uses. If none of them is a tumor, the case is tumor-free, and the tumors
            of all annotated organs count as annotated.
    """
    if any(is_tumor(name) for name in annotated):
        return [tumor_of(organ) for organ in organs if tumor_of(organ) in annotated]
    return [tumor_of(organ) for organ in organs if organ in annotated]


def remap(label: np.ndarray, names: Mapping[int, str], codes: Mapping[str, int]) -> np.ndarray:
    """Translate a label array from a file's own codes to a study's codes, by name.

    Structures that the study does not use become background.

    Args:
        label: integer array of any shape, values from 0 to 255.
        names: structure name of each code in ``label``.
        codes: study code of each structure name.

    Returns:
        An array of the same shape, ``uint8``.
    """
    table = np.zeros(256, np.uint8)
    for code, name in names.items():
        table[code] = codes.get(name, 0)
    return table[np.asarray(label)]
