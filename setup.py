"""Packaging: ``pip install .``, ``pip install -e .``, or from git.

Ranges are given here, for whoever has a torch already; requirements.txt has the exact releases
that were tested together, and ``make setup`` installs those.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PACKAGES = ("zegclip", "tagclip", "ldvc")
# What a wheel brings along in zegclip/.mim, as OpenMMLab's packages do: configs, programs, the
# mini benchmark and the papers' numbers are then found from any folder (zegclip.files.find_path).
MIM = (
    "configs",
    "tools",
    "data/mini",
    "docs/results/published.json",
    "model-index.yml",
    "requirements.txt",
)


class BuildWithMim(build_py):
    """Also copies what is in ``MIM``; in an editable install it is in the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "zegclip" / ".mim"
        shutil.rmtree(target, ignore_errors=True)
        for name in MIM:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if (HERE / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "scenes")
                shutil.copytree(HERE / name, target / name, ignore=ignored)
            else:
                shutil.copy(HERE / name, target / name)


setup(
    name="zegclip",
    version=re.search(r'__version__ = "(.*)"', (HERE / "zegclip/version.py").read_text())[1],
    description="Zero-shot semantic segmentation with CLIP: ZegCLIP, TagCLIP and LDVC on mmseg",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "THIRD_PARTY_NOTICES.md"],
    python_requires=">=3.10",
    packages=find_packages(include=[f"{name}{sub}" for name in PACKAGES for sub in ("", ".*")]),
    cmdclass={"build_py": BuildWithMim},
    install_requires=[
        # weights_only loading as the default, which checkpoints here are made for, came with 2.6.
        "torch>=2.6",
        "torchvision>=0.21",
        "onedl-mmengine>=0.10.12",
        "onedl-mmcv>=2.3.6",
        "onedl-mmsegmentation>=1.4.2",
        "open_clip_torch>=3.3",
        "huggingface_hub",
        "matplotlib",
        "numpy>=2.1",
        "opencv-python",
        "pandas",
        "pillow",
        "rich",
        "safetensors",
        "scipy",
        "tqdm",
    ],
    extras_require={
        "demo": ["gradio>=6"],
        "export": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
        "test": ["hypothesis", "mypy", "pytest", "ruff", "selenium"],
        "video": ["av"],  # tools/image_demo.py clip.mp4
        "visualization": ["tensorboard"],
    },
)
