"""The image encoder and the head as one ONNX graph for all image sizes and vocabularies."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor

from .description import METADATA_KEY, ModelDescription

INPUTS = ("image", "class_embeddings")
OUTPUTS = ("probabilities", "trusty_map")
# What torch's exporter writes; it converts that to newer ones.
LOWEST_OPSET, HIGHEST_OPSET = 18, 23


class OnnxModel(nn.Module):
    """From a normalised image and class embeddings to what the head predicts, uncalibrated.

    It calls the segmentor's own image encoder and head.

    Args:
        segmentor: a trained model.
    """

    def __init__(self, segmentor: ZeroShotSegmentor) -> None:
        super().__init__()
        self.image_encoder = segmentor.image_encoder
        self.decode_head = segmentor.decode_head

    def forward(self, image: Tensor, class_embeddings: Tensor) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            image: ``(B, 3, H, W)`` float32, normalised; sides are multiples of the patch size.
            class_embeddings: ``(C, D)`` float32, unit rows.

        Returns:
            Probabilities ``(B, C, H, W)`` and, where the head has one, the trusty map
            ``(B, 1, H, W)``.
        """
        output = self.decode_head(*self.image_encoder(image), class_embeddings)
        # Not inductive: which classes are seen does not matter.
        seen = torch.zeros(class_embeddings.shape[0], dtype=torch.bool, device=image.device)
        size = (image.shape[-2], image.shape[-1])
        prediction = self.decode_head.predict(output, size, seen, inductive=False)
        return tuple(maps for maps in prediction if maps is not None)


def require_exporter() -> None:
    """``InputError`` where what torch exports with is not installed."""
    for name in ("onnx", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"exporting needs the package {name}: python -m pip install onnx onnxscript "
                "onnxruntime"
            )


def export_onnx(
    segmentor: ZeroShotSegmentor,
    path: str | Path,
    description: ModelDescription,
    opset: int = LOWEST_OPSET,
) -> None:
    """Write a model to an ONNX file; a reader never sees half of one.

    Args:
        segmentor: a trained model, on the CPU, in evaluation mode.
        path: the file; its folder must exist. What is there is replaced.
        description: goes into the file's metadata.
        opset: version of the ONNX operators.

    Raises:
        InputError: the exporter is not installed, or cannot translate the model.
    """
    require_exporter()
    model = OnnxModel(segmentor).eval()
    patch = segmentor.image_encoder.patch_size
    # All lengths differ, so that none is taken for another.
    example = (torch.zeros(2, 3, 9 * patch, 11 * patch), torch.eye(5, description.embed_dims))
    dim = torch.export.Dim
    shapes = (
        {0: dim("batch"), 2: patch * dim("rows"), 3: patch * dim("columns")},
        {0: dim("classes")},
    )
    try:
        with torch.no_grad(), _export_settings():
            program = torch.export.export(model, example, dynamic_shapes=shapes, strict=False)
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=INPUTS,
                output_names=OUTPUTS[: len(model(*example))],
                verbose=False,
            )
    except Exception as error:  # whatever torch's exporter raises
        reason = str(error).strip().split("\n")[0][:300] or type(error).__name__
        raise InputError(
            f"{type(segmentor.decode_head).__name__} cannot be exported (what it does must not "
            f"depend on the numbers of images, patches or classes): {reason}"
        ) from error
    assert exported is not None
    # The exporter adds where in whose source files each node comes from.
    exported.model.metadata_props.clear()
    for graph in exported.model.graphs():
        graph.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()
    exported.model.metadata_props[METADATA_KEY] = description.to_json()
    written = exported.model.opset_imports[""]
    if written != opset:
        raise InputError(f"torch's exporter cannot write opset {opset}; it wrote {written}")
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
        part = Path(folder) / path.name
        exported.save(part, external_data=False)
        os.replace(part, path)


@contextlib.contextmanager
def _export_settings() -> Iterator[None]:
    """Plain operators instead of torch's fused transformer layer, which has no ONNX counterpart;
    and no remarks of the exporter about itself."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        torch.backends.mha.set_fastpath_enabled(fused)
