"""Which structures of a case are scored, and the codes that make up each of them.

A class that nobody annotated in a case has no reference there: what a network finds of it is neither right nor wrong, so the
class is left out for that case instead of counting as a false alarm.
"""

from collections.abc import Collection, Sequence

from freetumor.core.labels import annotated_tumors, class_codes, is_tumor, tumor_of

ALL_LESIONS = "all"  # of a classification: the lesions of all categories together
ANY_TUMOR = "tumor"  # the union of all annotated tumor classes: the primary structure of every comparison


def scored_structures(organs: Sequence[str], annotated: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Structures to score in a case with annotated tumors, and their codes in study numbering.

    An organ is scored whole, with the tumor inside it, so that a missed tumor is not counted twice. ``tumor`` is the union of
    the annotated tumor classes.

    Args:
        organs: the organs of the study.
        annotated: names that the case's label array uses (see :func:`~freetumor.core.labels.annotated_tumors`).

    Returns:
        Codes of each structure: organs first, then their tumors, then ``tumor``.
    """
    codes = class_codes(organs)
    whole = {organ: (codes[organ], codes[tumor_of(organ)]) for organ in organs if organ in annotated}
    tumors = annotated_tumors(organs, annotated)
    structures = whole | {tumor: (codes[tumor],) for tumor in tumors}
    if tumors:
        structures[ANY_TUMOR] = tuple(codes[tumor] for tumor in tumors)
    return structures


def tumor_structures(organs: Sequence[str]) -> list[str]:
    """Structures that comparisons are made for: ``tumor``, then the tumor of each organ."""
    return [ANY_TUMOR, *(tumor_of(organ) for organ in organs)]


def has_lesions(structure: str) -> bool:
    """Whether a structure consists of lesions that are counted one by one."""
    return structure == ANY_TUMOR or is_tumor(structure)
