"""Drawings at validation: where they go, how often, and that they cost nothing by default."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.visualization import LocalVisBackend, TensorboardVisBackend
from PIL import Image

from tests.zegclip.visualization.fakes import FakeDataset, FakeModel, visualizer
from zegclip.engine import PredictionSheetHook


class CountingModel(FakeModel):
    tested = 0

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        self.tested += 1
        return super().test_step(data)


def runner(folder: Path, *backends: Any) -> Any:
    dataset = FakeDataset(folder, [[0, 1], [2, 0], [1, 255]])
    return SimpleNamespace(
        model=CountingModel(),
        iter=0,
        visualizer=visualizer(*backends),
        val_dataloader=SimpleNamespace(dataset=dataset),
    )


def validate(run: Any, hook: PredictionSheetHook, *iterations: int) -> None:
    for run.iter in iterations:
        for batch in range(3):
            hook.after_val_iter(run, batch)


def test_tensorboard_holds_the_sheets(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backend = TensorboardVisBackend(str(tmp_path / "events"))
    run = runner(tmp_path, backend)
    hook = PredictionSheetHook(num_images=2, panel_height=80)
    validate(run, hook, 100, 200)
    backend.close()
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    images = events.Images("val/predictions")
    assert [image.step for image in images] == [100, 200]
    with Image.open(io.BytesIO(images[0].encoded_image_string)) as sheet:
        assert sheet.height > 2 * 80 and sheet.width > 3 * 160
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20)}
    assert (90, 90, 90) in colours and (214, 0, 0) in colours  # the image, an unseen name
    assert run.model.tested == 4  # two images at two validations, whatever the data set's size


def test_with_the_local_backend_alone_nothing_is_drawn_or_written(tmp_path: Path) -> None:
    run = runner(tmp_path, LocalVisBackend(str(tmp_path / "vis_data")))
    validate(run, PredictionSheetHook(), 100)
    assert run.model.tested == 0
    assert not (tmp_path / "vis_data").exists()


def test_it_can_be_asked_to_write_files(tmp_path: Path) -> None:
    run = runner(tmp_path, LocalVisBackend(str(tmp_path / "vis_data")))
    validate(run, PredictionSheetHook(num_images=1, to_disk=True), 100)
    (file,) = (tmp_path / "vis_data").rglob("*.png")
    assert file.name == "val_predictions_100.png"


def test_interval_counts_validations(tmp_path: Path) -> None:
    steps: list[int] = []
    backend = SimpleNamespace(add_image=lambda tag, sheet, step: steps.append(step))
    validate(runner(tmp_path, backend), PredictionSheetHook(interval=2, num_images=1), 1, 2, 3, 4)
    assert steps == [1, 3]


@pytest.mark.parametrize("option", ["interval", "num_images", "among"])
def test_numbers_are_checked(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0 must be a whole number from 1"):
        PredictionSheetHook(**{option: 0})
