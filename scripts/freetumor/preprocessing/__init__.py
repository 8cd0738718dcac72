"""From raw files to checked volumes in a chunked store, folds and a quarantine table."""
