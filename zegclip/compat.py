"""What today's torch needs from the OpenMMLab stack, handled once and on import of this module.

Every function mends one trap, does nothing where there is nothing to mend, and may be called
again. :func:`prepare` calls them all; it runs when this module is imported, which
``zegclip/__init__.py`` does before mmseg or open_clip can be imported.
"""

from __future__ import annotations

import importlib
import sys

import torch

_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A fragment takes its definitions with it when it is collected: it lives as long as the process.
_torchvision_fragments: list[torch.library.Library] = []


def mend_torchvision() -> bool:
    """Make ``import torchvision`` work where its compiled operators cannot be loaded.

    The registry's torchvision wheel is a CUDA build. Beside a CPU-only torch its operator library
    does not load, and the import stops at ``operator torchvision::nms does not exist``. Only the
    schemas are missed then: with them defined the import succeeds, and the operators themselves
    (which nothing here calls) stay unavailable.

    Returns:
        True if the schemas had to be defined, False if torchvision imports cleanly.

    Raises:
        RuntimeError: torchvision is broken in another way.
    """
    try:
        import torchvision  # noqa: F401

        return False
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(name + _NMS_SCHEMA)
    _torchvision_fragments.append(fragment)
    # What the failed import left behind holds registrations that may not be made twice, so only
    # the package itself is imported again.
    sys.modules.pop("torchvision", None)
    importlib.import_module("torchvision")
    return True


def prepare() -> None:
    """Mend everything that must be mended before mmseg and open_clip are imported."""
    mend_torchvision()


prepare()
