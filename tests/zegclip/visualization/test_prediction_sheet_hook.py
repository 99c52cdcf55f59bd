"""Drawings at validation: where they go, how often, and that they cost nothing by default."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend
from PIL import Image

from tests.zegclip.visualization.fakes import GREY, FakeDataset, FakeModel
from zegclip.visualization import PredictionSheetHook


def validated(
    folder: Path, backend: Any, hook: PredictionSheetHook, *iterations: int, label: int = 2
) -> FakeModel:
    """Run the hook through validations of three batches, at some iterations."""
    model = FakeModel(label, some_map=0.5)
    run: Any = SimpleNamespace(
        model=model,
        visualizer=SimpleNamespace(_vis_backends={"": backend}),
        val_dataloader=SimpleNamespace(dataset=FakeDataset(folder, [[0, 1], [2, 0], [1, 255]])),
    )
    for run.iter in iterations:
        for batch in range(3):
            hook.after_val_iter(run, batch)
    return model


def test_tensorboard_holds_the_sheets(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backend = TensorboardVisBackend(str(tmp_path / "events"))
    hook = PredictionSheetHook(interval=2, num_images=2)
    model = validated(tmp_path, backend, hook, 100, 200, 300)
    backend.close()
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    images = events.Images("val/predictions")
    assert [image.step for image in images] == [100, 300]
    with Image.open(io.BytesIO(images[0].encoded_image_string)) as sheet:
        assert GREY in {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
    assert model.tested == 4  # two images at two validations, whatever the data set's size


def test_a_model_with_a_background_is_drawn(tmp_path: Path) -> None:
    drawn: list[Any] = []
    backend = SimpleNamespace(add_image=lambda name, image, step: drawn.append(image))
    validated(tmp_path, backend, PredictionSheetHook(), 100, label=255)  # none of the classes
    assert len(drawn) == 1


def test_with_the_local_backend_alone_nothing_is_drawn(tmp_path: Path) -> None:
    backend = LocalVisBackend(str(tmp_path / "vis_data"))
    assert validated(tmp_path, backend, PredictionSheetHook(), 100).tested == 0
    assert not (tmp_path / "vis_data").exists()
