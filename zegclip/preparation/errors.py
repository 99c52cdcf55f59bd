"""The error that ends preparing with one message."""

from __future__ import annotations


class PreparationError(RuntimeError):
    """A data set cannot be prepared as asked; the message names the file and the mend."""
