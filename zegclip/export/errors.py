"""What exporting and exported files may stop with."""

from __future__ import annotations


class ExportError(RuntimeError):
    """A model cannot be exported, or an exported file cannot be used; the message says why."""
