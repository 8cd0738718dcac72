"""Painting at scale: the bank, its exports, and painting inside somebody else's MONAI pipeline."""

from typing import Any

__all__ = ["RandPaintTumord", "load_synthesizer"]


def __getattr__(name: str) -> Any:
    """Import what needs MONAI when it is asked for."""
    if name in __all__:
        from . import transform

        return getattr(transform, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
