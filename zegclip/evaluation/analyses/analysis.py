"""What an analysis is, what it is given of each image, and the registry of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import Registry
from torch import Tensor
from tqdm import tqdm

from zegclip.heads import ZeroShotHead
from zegclip.segmentors import ImagePrediction, ZeroShotSegmentor, to_original

# Classes of Analysis; tools/analyze.py does all that apply to a model.
ANALYSES = Registry("analysis", scope="zegclip", locations=["zegclip.evaluation"])


class Best(NamedTuple):
    """Of each pixel the most probable seen and the most probable unseen class, before calibration.

    Attributes:
        seen: its probability, ``(H, W)`` float32.
        seen_class: its id, ``(H, W)`` int64.
        unseen: as ``seen``, of the unseen class.
        unseen_class: as ``seen_class``.
    """

    seen: np.ndarray
    seen_class: np.ndarray
    unseen: np.ndarray
    unseen_class: np.ndarray


class AnalysedImage:
    """An image of a data set: encoded once, and asked as often as the analyses need.

    Args:
        model: in evaluation mode, with the data set's vocabulary.
        data: the image as a batch of one with its labels, as ``model.test_step`` takes it.

    Attributes:
        labels: the ground truth, ``(H, W)`` int64, 255 = ignored; all maps are of this size.
        windows: what the image encoder made of it.
        predicted: the label map of a test, ``(H, W)`` int64.
        extra_maps: the head's, by name, ``(K, H, W)`` float32, 0..1.
    """

    def __init__(self, model: ZeroShotSegmentor, data: Mapping[str, Any]) -> None:
        data = model.data_preprocessor(data, False)
        self.model = model
        self.metainfo: dict[str, Any] = data["data_samples"][0].metainfo
        self.labels = data["data_samples"][0].gt_sem_seg.data[0].cpu().numpy().astype(np.int64)
        self._inputs = data["inputs"]
        self.windows = list(model.encode_windows(self._inputs))
        self.input_size = (self._inputs.shape[-2], self._inputs.shape[-1])
        labels, extra_maps = self.ask().labels(self.metainfo)
        self.predicted = labels.cpu().numpy()
        self.extra_maps = {name: maps.float().cpu().numpy() for name, maps in extra_maps.items()}

    def ask(self, calibrated: bool = True) -> ImagePrediction:
        """What the model would predict in a test now; its calibration may be left out."""
        options = self.model.decode_options(self._inputs)
        (prediction,) = self.model.decode_windows(
            self.windows, self.input_size, calibrated, **options
        )
        return prediction

    @cached_property
    def uncalibrated(self) -> Tensor:
        """Probabilities where the model saw a pixel, ``(C, h, w)``, without its calibration."""
        return self.ask(calibrated=False).whole().probabilities

    @cached_property
    def best(self) -> Best:
        """See :class:`Best`; there must be seen and unseen classes."""
        vocabulary = self.model.vocabulary
        return Best(*self.best_of(vocabulary.seen_ids), *self.best_of(vocabulary.unseen_ids))

    def best_of(self, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of some classes the most probable one of each pixel, before calibration.

        Returns:
            Its probability, ``(H, W)`` float32, and its id, int64.
        """
        # One class at a time: all of them at the size on disk may be gigabytes.
        best = to_original(self.uncalibrated[[ids[0]]], self.metainfo)[0]
        label = torch.full_like(best, ids[0], dtype=torch.int64)
        for each in ids[1:]:
            own = to_original(self.uncalibrated[[each]], self.metainfo)[0]
            label[own > best] = each  # equal ones stay the first, as with arg-max
            best = torch.maximum(best, own)
        return best.float().cpu().numpy(), label.cpu().numpy()


class Analysis(ABC):
    """A measure: counts that add up over images, and numbers from their sum.

    Args:
        model: in evaluation mode, with the data set's vocabulary.
        checkpoint: the file that it is from.

    Attributes:
        section: what its numbers are reported under.
        head: the model's head must be one of these.
        needs_split: whether some classes must be seen and others unseen.
        draw: a function that draws results into axes, ``(Axes, {title: [result, ...]})``.

    Example:
        >>> @ANALYSES.register_module()
        ... class LabelledPixels(Analysis):
        ...     section = "labelled pixels"
        ...     def count(self, image):
        ...         return np.array([(image.labels != 255).sum(), image.labels.size])
        ...     def result(self):
        ...         return {"share": 100 * self.counts[0] / self.counts[1]}
    """

    section: str
    head: type[Any] = ZeroShotHead
    needs_split: bool = True
    draw: Any = None

    def __init__(self, model: ZeroShotSegmentor, checkpoint: str) -> None:
        self.model, self.checkpoint = model, checkpoint
        self.vocabulary = model.vocabulary
        # Whether a class is seen, (C,) bool.
        self.seen = np.isin(np.arange(len(self.vocabulary.classes)), self.vocabulary.seen_ids)
        self.counts: Any = 0

    def applies(self) -> bool:
        """Whether it can be done with this model and checkpoint."""
        split = bool(self.vocabulary.seen and self.vocabulary.unseen)
        return isinstance(self.model.decode_head, self.head) and (split or not self.needs_split)

    @abstractmethod
    def count(self, image: AnalysedImage) -> Any:
        """Counts of an image, an array; ``counts`` will be the sum."""

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """Numbers by name, nested at will; shares and scores in percent.

        What is under ``per_class``, by class, gets a table of its own; what is under ``curve``,
        lists, gets none.
        """


@torch.no_grad()
def analyse(model: ZeroShotSegmentor, dataset: Any, checkpoint: str) -> dict[str, dict[str, Any]]:
    """All analyses that apply to a model, in one pass over a data set.

    Args:
        model: in evaluation mode, with the data set's vocabulary.
        dataset: a test data set with labels.
        checkpoint: the file that the model is from.

    Returns:
        :meth:`Analysis.result` by section.
    """
    every = (kind(model, checkpoint) for kind in ANALYSES.module_dict.values())
    analyses = [analysis for analysis in every if analysis.applies()]
    for index in tqdm(range(len(dataset)), desc=checkpoint):
        image = AnalysedImage(model, pseudo_collate([dataset[index]]))
        for analysis in analyses:
            analysis.counts = analysis.counts + analysis.count(image)
    return {analysis.section: analysis.result() for analysis in analyses}
