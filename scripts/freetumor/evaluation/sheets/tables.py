"""Tables of the sheets; apart from what fills them, which needs volumes, banks and networks.

``*_PICTURES`` are the names of the pictures that every row has.
"""

from freetumor.core.tables import FLAG, INTEGER, NUMBER, TEXT, Schema

COHORT_PICTURES = ("image", "label")
COHORT_SHEET = Schema(
    "cases to show",
    {
        "name": TEXT,  # the source or category that the case stands for
        "case_id": TEXT,
        "level": INTEGER,  # of the slice
        "spacing_y": NUMBER,
        "spacing_x": NUMBER,
    },
)
REAL = "real"
REAL_SHOWN = 9
PER_LINE = 3  # painted lesions beside each other
FEW = 3  # up to so many synthesizers have two lines each, more have one
LESION_PICTURES = ("before", "after", "mask")
LESION_SHEET = Schema(
    "lesions to show",
    {
        "group": TEXT,  # real, or the synthesizer
        "lesion_id": TEXT,
        "case_id": TEXT,
        "organ": TEXT,
        "diameter_mm": NUMBER,  # of the ball of equal volume
        "field_mm": NUMBER,  # side of the square that is shown
        "spacing_y": NUMBER,
        "spacing_x": NUMBER,
    },
)
EXAMPLES = 10  # of each category and kind
SAMPLE_PICTURES = ("image",)
SAMPLE_SHEET = Schema(
    "images to show",
    {"category": TEXT, "kind": TEXT, "column": INTEGER, "image": TEXT, "mean_hu": NUMBER, "sd_hu": NUMBER},
)
FAILURE_PICTURES = ("image", "reference", "prediction")
FAILURE_SHEET = Schema(
    "worst cases",
    {
        "rank": INTEGER,  # 1 is the worst
        "case_id": TEXT,
        "source": TEXT,
        "split": TEXT,
        "metric": TEXT,
        "mean": NUMBER,  # over all arms and trainings: what cases are ranked by
        "cases": INTEGER,  # that were ranked
        "arm": TEXT,
        "fold": INTEGER,  # the training that is shown
        "seed": INTEGER,
        "value": NUMBER,  # of the training that is shown
        "level": INTEGER,
        "spacing_y": NUMBER,
        "spacing_x": NUMBER,
    },
)
ORIGINAL, VARIANT = "original", "augmented"
EMBEDDING = Schema(
    "points of a map",
    {
        "case_id": TEXT,
        "category": TEXT,
        "kind": TEXT,  # original or augmented
        "arm": TEXT,
        "x": NUMBER,  # without a unit
        "y": NUMBER,
        "nearest_agrees": FLAG,  # the nearest point of another case has the same category
    },
)


def lines_of(synthesizers: int) -> int:
    """Lines of pictures that each of so many synthesizers has."""
    return 2 if synthesizers <= FEW else 1
