"""LDVC's analyses: fragments without LCSA, and its decoder, which moves patches and not classes."""

from __future__ import annotations

import numpy as np

from zegclip.evaluation.analyses import (
    ANALYSES,
    AnalysedImage,
    DecoderTokens,
    Fragments,
    Tokens,
    calls_of,
)
from zegclip.segmentors import EncodedWindows

from .consensus_decoder import ConsensusDecoder
from .consensus_head import ConsensusHead


@ANALYSES.register_module()
class FragmentsWithoutLCSA(Fragments):
    """As ``fragments``, of the same model with LCSA switched off (it was trained with it)."""

    section = "fragments without LCSA"
    head = ConsensusHead

    def applies(self) -> bool:
        return super().applies() and self.model.decode_head.decoder.has_local_consensus

    def segment(self, image: AnalysedImage) -> np.ndarray:
        with self.model.decode_head.decoder.without_local_consensus():
            labels, _ = image.ask().labels(image.metainfo)
        return labels.cpu().numpy()


@ANALYSES.register_module()
class ConsensusTokens(DecoderTokens):
    """As ``tokens``: here the classes are anchors (T_new), and the patches move."""

    decoder = ConsensusDecoder

    def tokens(self, windows: EncodedWindows) -> Tokens:
        head = self.model.decode_head
        last = head.decoder.layers[-1]
        with calls_of(head.decoder) as decoder, calls_of(last) as layer:
            head(windows.patch_embeddings, windows.cls_embedding, self.model.class_embeddings())
        patches, anchors = decoder[0].inputs
        return Tokens((anchors, anchors), (patches.flatten(2).mT, layer[0].output))
