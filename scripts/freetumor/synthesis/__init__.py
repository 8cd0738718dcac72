"""Painting at scale: shards, the bank of lesions, exports."""
