"""TagCLIP's analysis: the trusty map as a detector of pixels of seen classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zegclip.evaluation.analyses import ANALYSES, AnalysedImage, Detector

from .trusty_head import TrustyHead

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@ANALYSES.register_module()
class TrustyMap(Detector):
    """AUROC and calibration of M_A (TagCLIP, Sec. 3: "the reliability of pixels")."""

    section = "trusty map"
    head = TrustyHead

    def values(self, image: AnalysedImage) -> np.ndarray:
        return image.extra_maps["trusty_map"][0]

    @staticmethod
    def draw(axes: Axes, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        axes.plot([0, 1], [0, 1], ":", color="grey")
        for number, (title, runs) in enumerate(results.items()):
            for name, style in (("on_objects", "o-"), ("with_background", "o--")):
                for run in runs:
                    bins = run[name]["curve"]
                    label = f"{title}, {name.replace('_', ' ')}" if run is runs[0] else ""
                    axes.plot(
                        bins["said"], bins["true"], style, ms=3, color=f"C{number}", label=label
                    )
        title = "Trusty map: said and true share of seen pixels"
        axes.set(title=title, xlabel="M_A", ylabel="share of pixels of seen classes")
