"""An ONNX file in ONNX Runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zegclip.errors import InputError


def require_runtime() -> None:
    """``InputError`` where ONNX Runtime is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError("ONNX Runtime is not installed: python -m pip install onnxruntime")


def open_session(path: str | Path, device: str = "cpu", threads: int | None = None) -> Any:
    """Load a file.

    Args:
        path: of the ``.onnx`` file.
        device: ``"cpu"`` or ``"cuda"``.
        threads: default: as many as torch computes with.

    Returns:
        onnxruntime's ``InferenceSession``.

    Raises:
        InputError: ONNX Runtime is not installed or lacks the device, or the file is missing or
            broken.
    """
    require_runtime()
    import onnxruntime  # (not with this module: it is needed for exported files alone)

    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    if providers.get(device) not in onnxruntime.get_available_providers():
        raise InputError(
            f"device {device!r} cannot be used: this ONNX Runtime has "
            f"{', '.join(onnxruntime.get_available_providers())} (for cuda: the package "
            "onnxruntime-gpu)"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[providers[device]])
    except Exception as error:  # its exceptions have no common class of their own
        raise InputError(
            f"{path} cannot be loaded by ONNX Runtime: {str(error).splitlines()[0][:300]}"
        ) from error


def run_session(session: Any, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs for some inputs; ``InputError`` where ONNX Runtime cannot compute them."""
    try:
        return session.run(None, dict(feed))
    except Exception as error:  # as above
        raise InputError(
            f"ONNX Runtime cannot run the model: {str(error).splitlines()[0][:300]}"
        ) from error
