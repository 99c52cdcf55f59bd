"""LDVC: language prompts, route attention, local-consensus decoder and its head."""

import zegclip  # noqa: F401  (first: prepares the stack and registers what is shared)

from . import analyses, figures  # noqa: F401  (register the method's analyses and figures)
from .consensus_decoder import ConsensusDecoder, ConsensusLayer
from .consensus_head import ConsensusHead
from .language_prompts import PromptedTextEncoder
from .route_attention import RouteAttention

__all__ = [
    "ConsensusDecoder",
    "ConsensusHead",
    "ConsensusLayer",
    "PromptedTextEncoder",
    "RouteAttention",
]
