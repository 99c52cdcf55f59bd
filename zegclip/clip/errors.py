"""Errors of the CLIP towers."""

from __future__ import annotations


class ClipWeightsError(RuntimeError):
    """A CLIP model or its weights are missing, unknown or unfit."""
