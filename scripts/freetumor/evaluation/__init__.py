"""From predictions to per-case scores, comparisons and their uncertainty."""
