"""An exported model beside the one in torch: are the results the same, which is faster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zegclip.segmentors import ZeroShotSegmentor

from .onnx_model import INPUTS, OnnxModel
from .session import open_session, run_session

# Greatest difference of a probability that is taken for rounding.
TOLERANCE = 1e-3
# Two classes whose probabilities are nearer than that are a tie: either may be the greater.
TIE = 1e-5
# Images, rows and columns of patches, classes.
CASES = ((1, 16, 16, 20), (2, 7, 11, 5), (1, 19, 13, 1), (1, 4, 5, 37))


@dataclass(frozen=True)
class Comparison:
    """One case.

    Attributes:
        case: images, rows and columns of patches, classes.
        difference: greatest absolute difference of a probability (or of the trusty map).
        other_labels: pixels whose arg-max is another one, ties left out.
        pixels: of all images.
    """

    case: tuple[int, int, int, int]
    difference: float
    other_labels: int
    pixels: int

    @property
    def equal(self) -> bool:
        """Whether there is no more than rounding between them."""
        return self.difference <= TOLERANCE and self.other_labels == 0


@torch.no_grad()
def compare(
    model: ZeroShotSegmentor,
    path: str | Path,
    cases: Sequence[tuple[int, int, int, int]] = CASES,
    seed: int = 0,
) -> Iterator[Comparison]:
    """Run random images and class embeddings through both.

    Args:
        model: on the CPU, in evaluation mode.
        path: what was exported from it.
        cases: images, rows and columns of patches, classes.
        seed: of the images and embeddings.

    Raises:
        InputError: the file cannot be loaded.
    """
    session = open_session(path)
    own = OnnxModel(model).eval()
    generator = torch.Generator().manual_seed(seed)
    for case in cases:
        inputs = _inputs(model, case, generator)
        expected = [maps.numpy() for maps in own(*inputs)]
        found = run_session(session, _feed(inputs))
        # (numpy's maximum keeps a NaN, Python's loses it.)
        pairs = zip(expected, found, strict=True)
        difference = float(np.max([np.abs(a - b).max() for a, b in pairs]))
        labels, others = expected[0].argmax(1)[:, None], found[0].argmax(1)[:, None]
        gap = np.take_along_axis(expected[0], labels, 1) - np.take_along_axis(
            expected[0], others, 1
        )
        yield Comparison(case, difference, int((gap > TIE).sum()), labels.size)


@torch.no_grad()
def speed(
    model: ZeroShotSegmentor,
    path: str | Path,
    case: tuple[int, int, int, int] = CASES[0],
    repeats: int = 10,
) -> tuple[float, float]:
    """Seconds of one run in torch and in ONNX Runtime, one thread each; the best of all, in turns.

    Args:
        model: as in :func:`compare`.
        path: as there.
        case: as there.
        repeats: runs of each, after one that does not count.
    """
    session = open_session(path, threads=1)
    own = OnnxModel(model).eval()
    inputs = _inputs(model, case, torch.Generator().manual_seed(0))
    feed = _feed(inputs)
    times: tuple[list[float], list[float]] = ([], [])
    with _one_thread():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            own(*inputs)
            middle = time.perf_counter()
            session.run(None, feed)
            times[0].append(middle - start)
            times[1].append(time.perf_counter() - middle)
    return min(times[0][1:]), min(times[1][1:])


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _inputs(
    model: ZeroShotSegmentor, case: tuple[int, int, int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images that are not all noise, since then all regions look alike; unit embeddings."""
    images, rows, columns, classes = case
    patch = model.image_encoder.patch_size
    size = (rows * patch, columns * patch)
    coarse = torch.randn(images, 3, rows, columns, generator=generator)
    image = F.interpolate(coarse, size=size, mode="bilinear") + 0.3 * torch.randn(
        images, 3, *size, generator=generator
    )
    embeddings = torch.randn(classes, model.image_encoder.embed_dims, generator=generator)
    return image, F.normalize(embeddings, dim=-1)


def _feed(inputs: tuple[Tensor, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in zip(INPUTS, inputs)}
