"""Pictures for figures: a table and the slices that it names, so that drawing needs no volume, no bank and no network."""
