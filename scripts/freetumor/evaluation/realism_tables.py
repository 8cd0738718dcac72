"""Tables of realism and privacy; apart from what fills them, which needs much more than those who read them."""

from freetumor.core.tables import FLAG, INTEGER, NUMBER, TEXT, Schema

NOT_ENOUGH = "not enough"
NUMBERS = ("value", "ci_low", "ci_high", "reference", "reference_low", "reference_high")  # painted lesions, and real ones
REALISM = Schema(
    "realism of painted lesions",
    {
        "synthesizer": TEXT,
        "organ": TEXT,
        "measure": TEXT,
        "statistic": TEXT,
        **dict.fromkeys(NUMBERS, NUMBER),
        "n": INTEGER,  # painted lesions compared
        "patients": INTEGER,  # on whose scans they are painted
        "n_real": INTEGER,
        "patients_real": INTEGER,
        "note": TEXT,  # "not enough" where there is no number
    },
)
PROFILES = Schema(
    "profiles of painted lesions",
    {
        "synthesizer": TEXT,
        "organ": TEXT,
        "distance_mm": NUMBER,  # middle of the bin; negative inside
        "value": NUMBER,  # mean HU of painted lesions, matched by size
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "reference": NUMBER,  # of the real lesions that they are matched to
        "reference_low": NUMBER,
        "reference_high": NUMBER,
        "n": INTEGER,  # lesions that reach this far
        "n_real": INTEGER,
    },
)
DISTRIBUTIONS = Schema(
    "distributions of radiomics",
    {
        "synthesizer": TEXT,
        "organ": TEXT,
        "feature": TEXT,
        "median": NUMBER,  # of painted lesions
        "median_real": NUMBER,
        "wasserstein": NUMBER,  # in standard deviations of the real lesions
        "ks": NUMBER,
        "p": NUMBER,  # two-sided, patients permuted
        "p_adjusted": NUMBER,  # Benjamini-Hochberg over the features of the synthesizer and organ
        "n": INTEGER,
        "patients": INTEGER,
        "n_real": INTEGER,
        "patients_real": INTEGER,
        "note": TEXT,
    },
)
PRIVACY = Schema(
    "privacy of painted lesions",
    {
        "synthesizer": TEXT,  # empty for planted copies
        "organ": TEXT,
        "measure": TEXT,
        "by": TEXT,  # features or voxels
        **dict.fromkeys(NUMBERS, NUMBER),
        "n": INTEGER,  # painted or planted lesions
        "patients": INTEGER,  # on whose scans they are painted
        "n_training": INTEGER,  # real lesions that were learned from, over all folds
        "n_held_out": INTEGER,  # real lesions that were not, over all folds
        "note": TEXT,  # "not enough" where there is no number
    },
)
PRIVACY_DISTANCES = Schema(
    "distances of lesions from training lesions",
    {
        "kind": TEXT,  # painted, held_out (real, but never learned from) or planted
        "synthesizer": TEXT,  # empty unless painted
        "organ": TEXT,
        "fold": INTEGER,
        "case_id": TEXT,
        "patient_id": TEXT,
        "lesion_id": TEXT,
        "distance": NUMBER,  # of features, to the nearest training lesion of another patient
        "held_out_distance": NUMBER,  # of a painted lesion, to the nearest real one that was never learned from
        "nearest": TEXT,  # training lesion with the most similar texture
        "correlation": NUMBER,  # with it, in the best of all ways
        "outstanding": NUMBER,  # how many standard deviations that correlation lies above what is usual
        "limit": NUMBER,  # from where on it is called a copy
        "copy": FLAG,  # it lies above the limit
    },
)
