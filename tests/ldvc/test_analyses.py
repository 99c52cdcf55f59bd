"""Fragments without LCSA; classes that stay and patches that move."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate

from ldvc.analyses import ConsensusTokens
from tests.zegclip.evaluation.analyses.models import NoiseDataset, predictions, small_model
from zegclip.evaluation import AnalysedImage, analyse
from zegclip.evaluation.analyses.fragments import fragment_counts
from zegclip.heads import match

ROUTE = {"regions_per_side": 2, "topk": 1}


def test_with_and_without_lcsa(tiny_clip_config: Path, tmp_path: Path) -> None:
    model, dataset = small_model(tiny_clip_config, "ConsensusHead", **ROUTE), NoiseDataset(tmp_path)
    result = analyse(model, dataset, "none.pth")
    seen = torch.tensor([True, True, False]).numpy()

    def fragments() -> float:
        found = predictions(model, dataset)
        each = (fragment_counts(y, s.pred_sem_seg.data[0].numpy(), seen) for y, s in found)
        objects, pieces, *_ = sum(each).sum(0)
        return pieces / objects

    expected = {"fragments": fragments()}
    with model.decode_head.decoder.without_local_consensus():
        expected["fragments without LCSA"] = fragments()
    for section, value in expected.items():
        assert result[section]["all"]["fragments_per_object"] == pytest.approx(value)
    bare = small_model(tiny_clip_config, "ConsensusHead", local_consensus=False)
    assert "fragments without LCSA" not in analyse(bare, dataset, "none.pth")


@pytest.mark.parametrize("masks", ["attention", "cosine"])
def test_classes_stay_and_patches_move(masks: str, tiny_clip_config: Path, tmp_path: Path) -> None:
    model = small_model(tiny_clip_config, "ConsensusHead", masks=masks, **ROUTE)
    dataset, head = NoiseDataset(tmp_path), model.decode_head
    image = AnalysedImage(model, pseudo_collate([dataset[0]]))
    with torch.no_grad():
        _, patches, cls = windows = image.windows[0]
        tokens = ConsensusTokens(model, "none.pth").tokens(windows)
        embeddings = model.class_embeddings()
        anchors = head.text_adapter(match(embeddings, cls), embeddings)
        moved = patches.flatten(2).mT
        for layer in head.decoder.layers:
            moved = layer(moved, anchors, patches.shape[-2:])
    assert torch.equal(tokens.classes[0], anchors) and torch.equal(*tokens.classes)
    assert torch.equal(tokens.patches[0], patches.flatten(2).mT)
    torch.testing.assert_close(tokens.patches[1], moved)
    found = analyse(model, dataset, "none.pth")["tokens"]["unseen"]
    assert found["drift_adapted"] == found["drift_decoded"]
    assert found["drift_from_clip"] == found["drift_decoded"]
    assert found["patch_and_own_class_before"] != found["patch_and_own_class_after"]
