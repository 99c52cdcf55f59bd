"""Pretraining of the mini benchmark's CLIP: captioned composites, model and losses, judge."""

import zegclip  # noqa: F401  (first: without it open_clip may not import)
