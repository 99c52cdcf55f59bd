"""Packaging: ``python -m pip install -e .`` (or ``-e /path/to/the/checkout``) from any folder.

Ranges are given here, for whoever has a torch already; requirements.txt has the exact releases
that were tested together, and ``make setup`` installs those.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
PACKAGES = ("zegclip", "tagclip", "ldvc")

setup(
    name="zegclip",
    version="0.1.0",
    description="Zero-shot semantic segmentation with CLIP: ZegCLIP, TagCLIP and LDVC on mmseg",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(include=[f"{name}{sub}" for name in PACKAGES for sub in ("", ".*")]),
    install_requires=[
        # weights_only loading as the default, which checkpoints here are made for, came with 2.6.
        "torch>=2.6",
        "torchvision>=0.21",
        "onedl-mmengine>=0.10.12",
        "onedl-mmcv>=2.3.6",
        "onedl-mmsegmentation>=1.4.2",
        "open_clip_torch>=3.3",
        "numpy>=2.1",
        "pillow",
        "rich",
        "safetensors",
        "scipy",
    ],
    extras_require={
        "demo": ["gradio"],
        "export": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
        "test": ["mypy", "pytest", "ruff"],
        "visualization": ["tensorboard"],
    },
)
