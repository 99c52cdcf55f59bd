"""Image encoder and head as one program, torch's or ONNX, for all image sizes and vocabularies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn

from zegclip.apis.class_words import text_fingerprint
from zegclip.apis.onnx_inferencer import METADATA_KEY, VERSION
from zegclip.apis.preprocessing import check_steps, image_steps
from zegclip.errors import InputError
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.segmentors.read_out import CALIBRATION_SHIFT, calibration_shift

INPUTS = ("image", "class_embeddings", "seen", "calibrated")
OPSET = 18


class ExportedModel(nn.Module):
    """From a normalised image and class embeddings to what the head predicts.

    It calls the segmentor's own image encoder and head.

    Args:
        segmentor: the model.

    Example:
        >>> image, T = torch.randn(1, 3, 512, 512), torch.randn(2, 512)
        >>> seen, calibrated = torch.tensor([True, False]), torch.tensor([True, True])
        >>> ExportedModel(segmentor)(image, T, seen, calibrated)[0].shape
        torch.Size([1, 2, 512, 512])
    """

    def __init__(self, segmentor: ZeroShotSegmentor) -> None:
        super().__init__()
        self.image_encoder = segmentor.image_encoder
        self.decode_head = segmentor.decode_head

    def forward(
        self, image: Tensor, class_embeddings: Tensor, seen: Tensor, calibrated: Tensor
    ) -> tuple[Tensor, ...]:
        """Predict.

        Args:
            image: ``(B, 3, H, W)`` float32, normalised; sides are multiples of the patch size.
            class_embeddings: ``(C, D)`` float32, unit rows.
            seen: ``(C,)`` bool.
            calibrated: ``(C,)`` bool: in the inductive setting all classes, but no words of the
                background.

        Returns:
            Probabilities ``(B, C, H, W)``, the head's extra maps ``(B, K, H, W)``, and how far
            calibration moves the best class, ``(B, 1, H, W)``, see :func:`calibration_shift`.
        """
        output = self.decode_head(*self.image_encoder(image), class_embeddings)
        output = output.upsampled((image.shape[-2], image.shape[-1]))
        plain = self.decode_head.predict(output)
        adjusted = self.decode_head.calibrate(plain, seen).probabilities
        chosen = calibrated[:, None, None]
        probabilities = torch.where(chosen, adjusted, plain.probabilities)
        # (A probability is at least 0, so -1 is nobody's where nothing is calibrated.)
        shift = calibration_shift(
            plain.probabilities.where(chosen, -1.0), adjusted.where(chosen, -1.0)
        )
        return (probabilities, *plain.extra_maps.values(), shift)


def describe(cfg: Config, model: ZeroShotSegmentor) -> dict[str, Any]:
    """What a model must be used with, for its file: text, numbers and lists of them.

    Args:
        cfg: the complete config that the model was built from.
        model: with its checkpoint.

    Raises:
        InputError: the config prepares images by a step that a file cannot ask for, or calibrates
            a head whose windows are averaged before.
    """
    if model.decode_head.averages_logits and model.decode_head.gamma:
        raise InputError("this head's file holds probabilities without calibration: set gamma=0")
    # (It may stand beside the model, as mmengine's runner takes it.)
    preprocessor = cfg.model.get("data_preprocessor") or cfg.data_preprocessor
    meta = model.dataset_meta or {}
    arguments = ("mean", "std", "bgr_to_rgb", "size")
    known = ("classes", "unseen", "synonyms", "setting")
    steps = [dict(step) for step in image_steps(cfg)]
    check_steps(steps)
    return {
        "version": VERSION,
        "config": Path(cfg.filename or "").name,  # for people
        "patch_size": model.image_encoder.patch_size,
        "background": asdict(model.decode_head.background),
        "words_apart": model.decode_head.words_apart,
        "averages_logits": model.decode_head.averages_logits,
        # of mmseg's SegDataPreProcessor
        "normalisation": {key: preprocessor[key] for key in arguments if key in preprocessor},
        "resize": steps,
        "test_cfg": model.test_cfg,  # windows
        "calibration": model.decode_head.protocol(inductive=True),  # for people
        "templates": list(model.text_encoder.templates),  # for people
        "clip": dict(model.clip_source),
        "text_fingerprint": text_fingerprint(model),
        "vocabulary": {key: meta[key] for key in known if key in meta} or None,  # of the training
    }


@torch.no_grad()
def export_program(segmentor: ZeroShotSegmentor) -> torch.export.ExportedProgram:
    """:class:`ExportedModel` as torch's program, for all sizes, batches and vocabularies.

    Args:
        segmentor: the model, on the CPU, in evaluation mode.
    """
    model = ExportedModel(segmentor).eval()
    patch = segmentor.image_encoder.patch_size
    # All lengths differ, so that none is taken for another.
    example = (
        torch.zeros(2, 3, 9 * patch, 11 * patch),
        torch.eye(5, segmentor.image_encoder.embed_dims),
        torch.arange(5) < 3,
        torch.arange(5) < 4,
    )
    dim = torch.export.Dim
    classes = dim("classes")
    shapes = (
        {0: dim("batch"), 2: patch * dim("rows"), 3: patch * dim("columns")},
        {0: classes},
        {0: classes},
        {0: classes},
    )
    return torch.export.export(model, example, dynamic_shapes=shapes, strict=False)


@torch.no_grad()
def write_onnx(
    segmentor: ZeroShotSegmentor,
    program: torch.export.ExportedProgram,
    path: Path,
    description: dict[str, Any],
) -> None:
    """Write a model to an ONNX file.

    Args:
        segmentor: the model; its head says what the outputs are called.
        program: :func:`export_program` of it.
        path: the file.
        description: goes into the file's metadata; of :func:`describe`.
    """
    encoder = segmentor.image_encoder
    image = torch.zeros(1, 3, encoder.patch_size, encoder.patch_size)
    head = segmentor.decode_head
    output = head(*encoder(image), torch.eye(1, encoder.embed_dims))
    extra_maps = head.predict(output.upsampled((image.shape[-2], image.shape[-1]))).extra_maps
    exported = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=INPUTS,
        output_names=["probabilities", *extra_maps, CALIBRATION_SHIFT],
        verbose=False,
    )
    assert exported is not None
    # (The exporter adds where in whose source files each node comes from.)
    ClearMetadataAndDocStringPass()(exported.model)
    exported.model.metadata_props[METADATA_KEY] = json.dumps(description)
    exported.save(path, external_data=False)
