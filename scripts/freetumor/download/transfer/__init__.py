"""Fetching of public files: resumable, verified, recorded. See ``transfer.transfer`` and ``listings.LISTINGS``."""
