"""One pass over a data set with a small random model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.dataset import pseudo_collate
from torch.nn.functional import cosine_similarity

from tests.zegclip.evaluation.analyses.models import NoiseDataset, predictions, small_model
from zegclip.evaluation import AnalysedImage, analyse, confusion_matrix, scores
from zegclip.evaluation.analyses import DecoderTokens
from zegclip.evaluation.analyses.training_curve import TrainingCurve
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary


@pytest.fixture
def dataset(tmp_path: Path) -> NoiseDataset:
    return NoiseDataset(tmp_path)


@pytest.fixture
def model(tiny_clip_config: Path) -> ZeroShotSegmentor:
    return small_model(tiny_clip_config, "ATMHead")


def test_numbers_are_those_of_a_test(model: ZeroShotSegmentor, dataset: NoiseDataset) -> None:
    vocabulary, head = model.vocabulary, model.decode_head
    result = analyse(model, dataset, "none.pth")
    assert model.vocabulary == vocabulary  # (it was asked without calibration meanwhile)

    def tested() -> float:
        found = predictions(model, dataset)
        maps = ((labels, sample.pred_sem_seg.data[0].numpy()) for labels, sample in found)
        return scores(sum(confusion_matrix(*each, 3) for each in maps), vocabulary)["hIoU"]

    own, calibration = tested(), result["calibration"]
    assert 0 < own < 100
    assert result["scores"]["hIoU"] == pytest.approx(own)
    assert calibration["hIoU_as_tested"] == pytest.approx(own)
    assert calibration["hIoU_with_gamma_alone"] == pytest.approx(own)
    assert calibration["closed_beyond_gamma"] == 0
    assert calibration["hIoU_of_oracle"] > calibration["hIoU_with_best_gamma"]
    # The curve is what models with other gammas would be tested with.
    curve = dict(zip(calibration["curve"]["gamma"], calibration["curve"]["hIoU"]))
    different = set()
    for gamma in (0.0, 0.02, -0.1):
        head.gamma = gamma
        different.add(tested())
        assert curve[gamma] == pytest.approx(tested()), gamma
    assert len(different) > 1
    assert calibration["hIoU_without_calibration"] == curve[0.0]
    json.dumps(result, allow_nan=False)


def test_tokens_are_the_decoders(model: ZeroShotSegmentor, dataset: NoiseDataset) -> None:
    """Drift by hand: relationship descriptor, then the decoder's layers."""
    head, embeddings = model.decode_head, model.class_embeddings()
    drifts = []
    with torch.no_grad():
        for index in range(len(dataset)):
            image = AnalysedImage(model, pseudo_collate([dataset[index]]))
            for _, patches, cls in image.windows:
                matched = embeddings[None] * cls[:, None]
                adapted = tokens = head.relationship_descriptor(matched, embeddings)
                for layer in head.decoder.layers:
                    tokens = layer(tokens, patches.flatten(2).mT)
                both = (cosine_similarity(embeddings, each, dim=-1) for each in (adapted, tokens))
                drifts.append(torch.stack(list(both)))
    adapted, decoded = 1 - torch.cat(drifts, 1).mean(1)
    found = analyse(model, dataset, "none.pth")["tokens"]
    for number, classes in (("seen", [0, 1]), ("unseen", [2])):
        assert found[number]["drift_adapted"] == pytest.approx(float(adapted[classes].mean()))
        assert found[number]["drift_decoded"] == pytest.approx(float(decoded[classes].mean()))
        # (The text encoder is CLIP's as it is.)
        assert found[number]["drift_from_clip"] == found[number]["drift_decoded"]


def test_what_does_not_apply_is_left_out(model: ZeroShotSegmentor, dataset: NoiseDataset) -> None:
    """In the cross-dataset setting nothing is seen or unseen."""
    vocabulary = Vocabulary(("cat", "bus", "sofa"), setting="cross_dataset")
    model.set_vocabulary(vocabulary)
    result = analyse(model, dataset, "none.pth")
    assert set(result) == {"scores", "background", "fragments", "boundaries"}
    assert "mIoU" in result["scores"] and "seen_pixels_given_seen" not in result["scores"]
    model.set_vocabulary(Vocabulary(("Background", "bus", "sofa"), setting="cross_dataset"))
    assert "background" not in analyse(model, dataset, "none.pth")  # it is a class already


def test_training_curve_of_the_checkpoints_folder(
    model: ZeroShotSegmentor, dataset: NoiseDataset, tmp_path: Path
) -> None:
    log = tmp_path / "1" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    unseen = [20, 50, 45]
    lines = [{"step": n, "mIoU_S": 10 * n, "mIoU_U": u} for n, u in enumerate(unseen)]
    log.write_text("\n".join(map(json.dumps, lines)))
    result = analyse(model, dataset, str(tmp_path / "iter_2.pth"))["training"]
    axes = Figure().subplots()
    TrainingCurve.draw(axes, {"A": [result], "B": [result, dict(result)]})
    shown = [list(line.get_ydata()) for line in axes.lines]
    assert shown == [[0, 10, 20], unseen] * 3
    assert axes.get_legend_handles_labels()[1] == ["A", "B"]
    assert result.pop("curve")["mIoU_U"] == unseen
    assert result == {
        "best_mIoU_U": 50,
        "best_mIoU_U_at_iteration": 1,
        "mIoU_U_lost_since": 5,
        "mIoU_S_won_since": 10,
    }


def test_which_class_self_training_went_to(
    model: ZeroShotSegmentor, dataset: NoiseDataset, tmp_path: Path
) -> None:
    log = tmp_path / "1" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    (unseen,) = model.vocabulary.unseen
    lines: list[dict[str, float]] = [{"loss": loss, "lr": 0.1 * loss} for loss in (2, 9, 3)]
    lines += [{f"pseudo_labelled/{unseen}": share} for share in (40, 90, 70)]
    lines = [line | {"step": number % 3} for number, line in enumerate(lines)]
    log.write_text("\n".join(map(json.dumps, lines)))
    assert analyse(model, dataset, str(tmp_path / "iter_2.pth"))["self-training"] == {
        "first": {unseen: 40},
        "last": {unseen: 70},
        "largest_loss_over_median": 3,
        "first_learning_rate": 0.2,
        "curve": {unseen: [40, 90, 70]},
    }


def test_patches_count_once_a_window(model: ZeroShotSegmentor, dataset: NoiseDataset) -> None:
    image = AnalysedImage(model, pseudo_collate([dataset[0]]))
    with torch.no_grad():
        counts = DecoderTokens(model, "none.pth").count(image)
    windows = sum(len(each.boxes) for each in image.windows)
    assert windows == 2 * 4
    # Two seen classes and an unseen one a window; four patches of 8 x 8 in each window of 16 x 16.
    np.testing.assert_array_equal(counts[:, 0, 1], [2 * windows, windows])
    assert counts[:, 3, 1].sum() == 4 * windows
