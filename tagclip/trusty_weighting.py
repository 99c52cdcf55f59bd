"""How the trusty map weights the class probabilities at inference."""

from __future__ import annotations

from torch import Tensor

WEIGHTINGS = ("both", "seen", "unseen", "none")


def weight_by_trust(
    probabilities: Tensor, trusty_map: Tensor, seen: Tensor, weighting: str = "both"
) -> Tensor:
    """``P_seen * M_A`` and ``P_unseen * (1 - M_A)``.

    Args:
        probabilities: ``(B, C, H, W)``, calibrated before (``P_seen - gamma``).
        trusty_map: M_A = P(seen), ``(B, 1, H, W)``.
        seen: ``(C,)`` bool.
        weighting: ``"both"`` kinds of class, only the ``"seen"`` or the ``"unseen"``, ``"none"``.

    Returns:
        ``(B, C, H, W)``.

    Source: TagCLIP, Fig. 3; that gamma comes first: published code.
    """
    if weighting == "none":
        return probabilities
    seen = seen[:, None, None]
    factor = trusty_map.where(seen, 1 - trusty_map)  # (B, C, H, W)
    if weighting == "seen":
        factor = factor.where(seen, 1.0)
    elif weighting == "unseen":
        factor = factor.where(~seen, 1.0)
    return probabilities * factor
