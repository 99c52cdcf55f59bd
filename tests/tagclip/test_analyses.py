"""The trusty map as a detector, and what it closes of the oracle's gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tagclip  # noqa: F401  (its head and its analysis)
from tests.zegclip.evaluation.analyses.models import NoiseDataset, predictions, small_model
from zegclip.evaluation import analyse, confusion_matrix, scores


def test_trusty_map_of_a_test(tiny_clip_config: Path, tmp_path: Path) -> None:
    model, dataset = small_model(tiny_clip_config, "TrustyHead"), NoiseDataset(tmp_path)
    result = analyse(model, dataset, "none.pth")
    values, labels = [], []
    for label, sample in predictions(model, dataset):
        values.append(sample.trusty_map.data[0].numpy().ravel())
        labels.append(label.ravel())
    value, label = np.concatenate(values), np.concatenate(labels)
    seen = value[np.isin(label, [0, 1])]
    for name, others in (("on_objects", [2]), ("with_background", [2, 255])):
        pairs = seen[:, None] - value[np.isin(label, others)]
        expected = 100 * np.mean(pairs > 0)
        assert 0 < expected < 100
        assert result["trusty map"][name]["AUROC"] == pytest.approx(expected, abs=0.2)
    # Without the map, at the same gamma, the model would be tested like this.
    model.decode_head.trusty_weighting = "none"
    found = predictions(model, dataset)
    counts = sum(confusion_matrix(each, s.pred_sem_seg.data[0].numpy(), 3) for each, s in found)
    plain = scores(counts, model.vocabulary)["hIoU"]
    assert result["calibration"]["hIoU_with_gamma_alone"] == pytest.approx(plain)
    assert result["calibration"]["hIoU_as_tested"] != pytest.approx(plain)


def test_other_heads_have_none(tiny_clip_config: Path, tmp_path: Path) -> None:
    model = small_model(tiny_clip_config, "ATMHead")
    assert "trusty map" not in analyse(model, NoiseDataset(tmp_path), "none.pth")
