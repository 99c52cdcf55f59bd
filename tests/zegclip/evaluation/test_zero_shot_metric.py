"""One confusion matrix over all images, counted once each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zegclip.datasets import read_mask
from zegclip.errors import InputError
from zegclip.evaluation import ZeroShotIoUMetric, zero_shot_metric

CLASSES = ("cat", "dog", "bus", "sofa", "tree")
META = {"classes": CLASSES, "unseen": ("bus", "tree")}


def images(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Samples as the evaluator hands them over, of different sizes, "tree" nowhere."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        size = 1, int(rng.integers(1, 12)), int(rng.integers(1, 12))
        label = rng.choice([0, 1, 2, 3, 255], size)
        right = rng.random(size) < 0.6
        guess = rng.integers(0, 4, size)
        prediction = np.where(right & (label != 255), label, guess)
        samples.append(
            {
                "img_path": f"photo{index}.jpg",
                "pred_sem_seg": {"data": torch.from_numpy(prediction)},
                "gt_sem_seg": {"data": torch.from_numpy(label)},
            }
        )
    return samples


def metric(**options: Any) -> ZeroShotIoUMetric:
    made = ZeroShotIoUMetric(**options)
    made.dataset_meta = META
    return made


def test_against_counting_pixel_by_pixel() -> None:
    samples = images(7)
    ours = metric()
    for start in range(0, 7, 3):  # batches of 3, 3, 1
        ours.process(None, samples[start : start + 3])
    assert len(ours.results) == 7
    result = ours.evaluate(7)

    pixels = np.concatenate(
        [
            [sample[key]["data"].flatten().numpy() for key in ("gt_sem_seg", "pred_sem_seg")]
            for sample in samples
        ],
        axis=1,
    )
    pairs = [(label, guess) for label, guess in pixels.T.tolist() if label != 255]
    ious = {
        name: 100 * pairs.count((index, index)) / sum(index in pair for pair in pairs)
        for index, name in enumerate(CLASSES[:4])
    }
    seen, unseen = np.mean([ious["cat"], ious["dog"], ious["sofa"]]), ious["bus"]
    assert list(result) == ["pAcc", "mIoU_S", "mIoU_U", "hIoU"]
    assert list(result.values()) == pytest.approx(
        [
            100 * np.mean([label == guess for label, guess in pairs]),
            seen,
            unseen,
            2 * seen * unseen / (seen + unseen),
        ]
    )
    assert ours.summary is not None and ours.summary["absent"] == ["tree"]
    for name, iou in ious.items():
        assert ours.summary["per_class"][name]["IoU"] == pytest.approx(iou)


def test_the_ground_truth_is_known_whatever_is_predicted() -> None:
    samples, found = images(4), []
    for prediction in (None, 0, 3):
        each = metric()
        for sample in samples:
            if prediction is not None:
                sample["pred_sem_seg"]["data"].fill_(prediction)
        each.process(None, samples)
        each.evaluate(4)
        found.append(each.labels)
    samples[0]["gt_sem_seg"]["data"][0, 0, 0] = 4  # a mask was corrected
    each = metric()
    each.process(None, samples)
    each.evaluate(4)
    assert found[0] is not None and set(found) == {found[0]} and each.labels != found[0]


def test_evaluations_do_not_add_up() -> None:
    samples, alone = images(5), metric()
    alone.process(None, samples)
    expected = alone.evaluate(5)
    alone.process(None, samples)
    assert alone.evaluate(5) == expected
    assert alone.collect_device == "gpu"  # "cpu" leaves a folder behind


def test_results_stay_small() -> None:
    """Entries that occur, not a matrix an image: 171 classes would be 29,241."""
    ours = ZeroShotIoUMetric()
    ours.dataset_meta = {"classes": [f"c{i}" for i in range(171)]}
    data = torch.full((1, 50, 50), 170)
    ours.process(None, [{"pred_sem_seg": {"data": data}, "gt_sem_seg": {"data": data}}])
    ((positions, counts),) = ours.results
    assert positions.tolist() == [171 * 171 - 1] and counts.tolist() == [2500]


@pytest.mark.parametrize(
    ("prediction", "label", "message"),
    [
        (torch.zeros(1, 4, 6), torch.zeros(1, 4, 5), r"photo\.jpg: the prediction is \(1, 4, 6\)"),
        (torch.full((1, 2, 2), 5), torch.zeros(1, 2, 2), r"photo\.jpg: the prediction .* id 5"),
        (torch.full((1, 2, 2), -1), torch.zeros(1, 2, 2), r"photo\.jpg: the prediction .* id -1"),
        (torch.full((1, 2, 2), 256), torch.zeros(1, 2, 2), r"photo\.jpg: the prediction .* id 256"),
        (torch.zeros(1, 2, 2), torch.full((1, 2, 2), -1), r"photo\.jpg: the label .* id -1"),
        (torch.zeros(1, 2, 2), torch.full((1, 2, 2), 7), r"photo\.jpg: the label .* id 7.*0\.\.4"),
    ],
)
def test_errors_name_the_image(prediction: Any, label: Any, message: str) -> None:
    sample = {
        "img_path": "photo.jpg",
        "pred_sem_seg": {"data": prediction.long()},
        "gt_sem_seg": {"data": label.long()},
    }
    with pytest.raises(InputError, match=message):
        metric().process(None, [sample])


def test_no_class_is_allowed_on_request_only() -> None:
    sample = {"pred_sem_seg": {"data": torch.tensor([[[255, 5]]])}}
    sample["gt_sem_seg"] = {"data": torch.tensor([[[0, 255]]])}
    with pytest.raises(InputError, match="holds the id 255.*evaluator.allow_no_class=True"):
        metric().process(None, [sample])
    ours = metric()
    ours.allow_no_class = True
    with pytest.raises(InputError, match="holds the id 5"):  # C itself is still no class
        ours.process(None, [sample])


class TestImagesWithoutLabels:
    def unlabelled(self, image: str = "a.jpg", label: int = 2) -> dict[str, Any]:
        return {"img_path": image, "pred_sem_seg": {"data": torch.tensor([[[0, label]]])}}

    def test_are_written_and_not_scored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str] = []
        monkeypatch.setattr(zero_shot_metric, "print_log", lambda text, **_: said.append(text))
        ours, samples = metric(output_dir=str(tmp_path / "maps")), images(3)
        ours.process(None, [samples[0], self.unlabelled(), *samples[1:]])
        assert [bool(result) for result in ours.results] == [True, False, True, True]
        alone = metric()
        alone.process(None, samples)
        assert ours.evaluate(4) == alone.evaluate(3)
        assert said[0] == "1 of 4 images are not scored"
        assert read_mask(tmp_path / "maps" / "a.png").tolist() == [[0, 2]]
        assert len(list((tmp_path / "maps").iterdir())) == 4
        ours.process(None, [self.unlabelled()])
        assert ours.evaluate(1) == {} and ours.summary is None

    def test_format_only(self, tmp_path: Path) -> None:
        ours = metric(output_dir=str(tmp_path), format_only=True)
        ours.process(None, images(2))
        assert ours.evaluate(2) == {}
        with pytest.raises(InputError, match="format_only=True .*: set output_dir"):
            metric(format_only=True)

    def test_with_nothing_to_write_either(self) -> None:
        ours = metric()
        ours.process(None, [self.unlabelled()])
        with pytest.raises(InputError, match="1 of 1 images are not scored: they have no masks"):
            ours.evaluate(1)

    @pytest.mark.parametrize(("classes", "dtype"), [(255, np.uint8), (256, np.uint16)])
    def test_255_is_a_class_in_16_bits_alone(
        self, tmp_path: Path, classes: int, dtype: type
    ) -> None:
        ours = metric(output_dir=str(tmp_path))
        ours.dataset_meta = {"classes": [str(i) for i in range(classes)]}
        ours.process(None, [self.unlabelled(label=classes - 1)])
        written = read_mask(tmp_path / "a.png")
        assert written.dtype == dtype and written.tolist() == [[0, classes - 1]]

    def test_images_of_one_name_would_replace_each_other(self, tmp_path: Path) -> None:
        ours = metric(output_dir=str(tmp_path))
        with pytest.raises(InputError, match=r"x/a\.jpg and y/a\.jpg would both be .*a\.png"):
            ours.process(None, [self.unlabelled("x/a.jpg"), self.unlabelled("y/a.jpg")])

    @pytest.mark.parametrize("key", ["img_path", "seg_map_path"])
    def test_the_data_sets_own_files_are_not_replaced(self, tmp_path: Path, key: str) -> None:
        ours, mask = metric(output_dir=str(tmp_path)), tmp_path / "a.png"
        mask.write_bytes(b"kept")
        sample = self.unlabelled("x/a.jpg") | {key: str(tmp_path / "." / "a.png")}
        with pytest.raises(InputError, match=r"a\.png of the data set would be replaced"):
            ours.process(None, [sample])
        assert mask.read_bytes() == b"kept"

    def test_those_of_other_processes_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours = metric(output_dir=str(tmp_path))
        ours.process(None, [self.unlabelled("x/a.jpg")])
        theirs = {tmp_path / "a.png": "y/a.jpg"}
        monkeypatch.setattr(zero_shot_metric, "all_gather_object", lambda own: [own, theirs])
        with pytest.raises(InputError, match=r"x/a\.jpg and y/a\.jpg would both be .*a\.png"):
            ours.evaluate(1)
