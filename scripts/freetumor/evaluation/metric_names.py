"""Names of metrics, which way is better, and which are compared. Apart from how they are computed: figures need names only."""

ACCURACY, SENSITIVITY, SPECIFICITY = "accuracy", "sensitivity", "specificity"
CATEGORY, PREDICTED, PROBABILITY = "category", "predicted", "probability"  # of a classification: positions, and per category
CANDIDATE_COUNT = "candidates"  # of a scan whose map of tumor probability was looked at
EARLY = "sensitivity_early"  # share of detected lesions up to `evaluation.early_mm`, over lesions, not over scans

BETTER = {
    "dice": "higher",
    "iou": "higher",
    "surface_dice": "higher",
    "hd95": "lower",
    "assd": "lower",
    "masd": "lower",
    "volume_error": "lower",
    "lesion_sensitivity": "higher",
    "lesion_precision": "higher",
    "f1": "higher",
    "panoptic_quality": "higher",
    "overlap_sensitivity": "higher",
    "overlap_precision": "higher",
    "false_positives": "lower",
    ACCURACY: "higher",
    SENSITIVITY: "higher",
    SPECIFICITY: "higher",
    EARLY: "higher",
}
COMPARED = (
    "dice",
    "surface_dice",
    "hd95",
    "lesion_sensitivity",
    "f1",
    "panoptic_quality",
    "false_positives",
    SPECIFICITY,
    EARLY,
)
