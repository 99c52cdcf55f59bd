"""Errors of the Python interface; each is one message for the person who asked."""

from __future__ import annotations


class SegmenterError(RuntimeError):
    """A model, its config or its checkpoint cannot be used; the message says why."""


class ImageError(ValueError):
    """Something given as an image is none, or cannot be segmented; the message names it."""
