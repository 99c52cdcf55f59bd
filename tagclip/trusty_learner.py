"""Trusty Learner: class embeddings and the trusty token, described by the image, see each other."""

from __future__ import annotations

from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.heads import RelationshipDescriptor, match

STRUCTURES = ("project_first", "attend_first")


class TrustyLearner(nn.Module):
    """Relationship descriptor and self-attention over the C classes and the trusty token.

    Source: TagCLIP, Fig. 2 and Fig. 5.

    Args:
        embed_dims: D.
        num_heads: heads of the self-attention (8).
        dropout: rate in the self-attention and on its branch (0.1).
        structure: ``"project_first"`` (Fig. 5, left; default): ``[T' * g ; T']`` is projected,
            then attends. ``"attend_first"`` (Fig. 5, right): ``T' * g`` attends, then is
            concatenated with ``T'`` and projected.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        dropout: float = 0.1,
        structure: str = "project_first",
    ) -> None:
        super().__init__()
        if structure not in STRUCTURES:
            raise InputError(f"structure={structure!r} is not one of {', '.join(STRUCTURES)}")
        self.structure = structure
        self.relationship_descriptor = RelationshipDescriptor(embed_dims)
        self.self_attention = nn.MultiheadAttention(
            embed_dims, num_heads, dropout=dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(embed_dims)

    def _attend(self, tokens: Tensor) -> Tensor:
        attended, _ = self.self_attention(tokens, tokens, tokens, need_weights=False)
        return self.norm(tokens + self.dropout(attended))

    def forward(self, embeddings: Tensor, cls_embedding: Tensor) -> Tensor:
        """Learn the queries of the decoder.

        Args:
            embeddings: T', class embeddings with the trusty token behind them, ``(C + 1, D)``.
            cls_embedding: g, ``(B, D)``.

        Returns:
            ``(B, C + 1, D)``.
        """
        matched = match(embeddings, cls_embedding)
        if self.structure == "project_first":
            return self._attend(self.relationship_descriptor(matched, embeddings))
        return self.relationship_descriptor(self._attend(matched), embeddings)
