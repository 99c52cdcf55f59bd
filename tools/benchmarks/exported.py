"""One model in the ways that it can be put into service, on a CPU."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measure import Row, Way, compare
from benchmarks.models import models
from zegclip.apis.onnx_inferencer import open_session


@torch.no_grad()
def export(args: Namespace) -> Iterator[Row]:
    """Image encoder and head on one crop: torch, torch.compile, torch's program, ONNX Runtime.

    Compiling and exporting are not timed. ONNX Runtime has as many threads as torch.
    """
    # (An extra: the other parts do without it.)
    from support.onnx_graph import INPUTS, ExportedModel, export_program, write_onnx

    for case, model, _ in models(args, trains=False):
        in_torch, program = ExportedModel(model).eval(), export_program(model)
        classes = len(model.vocabulary.classes)
        inputs = (
            torch.randn(1, 3, args.size, args.size),
            F.normalize(torch.randn(classes, model.image_encoder.embed_dims), dim=-1),
            torch.arange(classes) % 3 > 0,
            torch.ones(classes, dtype=torch.bool),
        )
        with tempfile.TemporaryDirectory() as folder:
            write_onnx(model, program, Path(folder, "model.onnx"), {})
            session = open_session(Path(folder, "model.onnx"))
        arrays = {name: each.numpy() for name, each in zip(INPUTS, inputs)}
        ways: dict[str, Way] = {
            "ours, in torch": partial(in_torch, *inputs),
            "torch.compile": partial(torch.compile(in_torch.forward), *inputs),
            "exported program": partial(program.module(), *inputs),
            "ONNX Runtime": partial(_in_onnx_runtime, session, arrays),
        }
        yield from compare(case, ways, args, images=1)


def _in_onnx_runtime(session: Any, arrays: Mapping[str, np.ndarray]) -> list[Tensor]:
    """What an ``onnxruntime.InferenceSession`` makes of inputs by name."""
    return [torch.from_numpy(each) for each in session.run(None, dict(arrays))]
