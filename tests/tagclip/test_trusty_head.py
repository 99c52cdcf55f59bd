"""TagCLIP's head, its learner and its inference weighting."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import tagclip  # noqa: F401  (registers the head)
from tagclip import weight_by_trust
from tests.heads.base import HeadTester, unit
from zegclip.heads import HeadOutput, Prediction
from zegclip.losses import MaskLoss


def trusty(logits: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"trusty_map": logits}


class OwnLoss(MaskLoss):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight


class TestTrustyHead(HeadTester):
    head: ClassVar[dict[str, Any]] = {
        "type": "TrustyHead",
        "decoder": {"num_layers": 2, "num_heads": 4, "feedforward_channels": 32},
        "trusty_weighting": "both",
    }

    def test_trusty_target_is_one_on_seen_pixels(self) -> None:
        head = self.build_head()
        labels = torch.tensor([[[0, 255], [1, 255]]])
        good = torch.tensor([[[[9.0, -9.0], [9.0, -9.0]]]])
        masks = torch.zeros(1, 3, 2, 2)
        right = head.losses(HeadOutput(masks, trusty(good)), labels)["loss_trusty"]
        wrong = head.losses(HeadOutput(masks, trusty(-good)), labels)["loss_trusty"]
        assert right < 1e-3 < wrong

    def test_a_loss_of_one_s_own_gets_its_own_settings(self) -> None:
        head = self.build_head(loss={"type": OwnLoss, "weight": 3.0})
        assert head.mask_loss.weight == 3
        assert self.build_head().mask_loss.focal_weight == 20

    def test_pseudo_labelled_pixels_are_not_seen(self) -> None:
        head = self.build_head()
        labels = torch.tensor([[[0, 2], [1, 2]]])  # 2: a pseudo-label of an unseen class
        unseen = torch.tensor([[[False, True], [False, True]]])
        good = torch.tensor([[[[9.0, -9.0], [9.0, -9.0]]]])
        output = HeadOutput(torch.zeros(1, 3, 2, 2), trusty(good))
        assert head.losses(output, labels, unseen)["loss_trusty"] < 1e-3
        assert head.losses(output, labels)["loss_trusty"] > 0.1

    def test_unseen_gt_target_warns_and_is_the_unseen_map(self) -> None:
        with pytest.warns(UserWarning, match="shows the masks of unseen objects to training"):
            head = self.build_head(trusty_target="unseen_gt")
        output = HeadOutput(torch.zeros(1, 3, 2, 2), trusty(torch.zeros(1, 1, 2, 2)))
        labels = torch.full((1, 2, 2), 255)
        unseen = torch.tensor([[[True, False], [False, False]]])
        none = head.losses(output, labels, torch.zeros_like(unseen))["loss_trusty"]
        some = head.losses(output, labels, unseen)["loss_trusty"]
        assert none != some

    def test_unseen_gt_map_is_turned_into_p_seen(self) -> None:
        logits = HeadOutput(torch.zeros(1, 3, 2, 2), trusty(torch.full((1, 1, 2, 2), 2.0)))
        seen_map = self.build_head().predict(logits).extra_maps["trusty_map"]
        with pytest.warns(UserWarning):
            published = self.build_head(trusty_target="unseen_gt").predict(logits)
        torch.testing.assert_close(seen_map, 1 - published.extra_maps["trusty_map"])

    def test_what_no_weight_shows_is_checked_with_a_checkpoint(self) -> None:
        assert not any(self.build_head().fixed_settings().values())
        settings = self.build_head(structure="attend_first").fixed_settings()
        active = [setting for setting, on in settings.items() if on]
        assert active == ["decode_head.structure='attend_first'"]

    @pytest.mark.parametrize("structure", ["project_first", "attend_first"])
    def test_both_structures_are_their_definitions(self, structure: str) -> None:
        head = self.build_head(structure=structure)
        patches, g, classes = unit(2, 32, 4, 4, dim=1), unit(2, 32), unit(5, 32, seed=1)
        learner = head.trusty_learner
        embeddings = torch.cat([classes, head.trusty_token])
        matched = embeddings * g[:, None]

        def attend(tokens: torch.Tensor) -> torch.Tensor:
            return learner.norm(tokens + learner.self_attention(tokens, tokens, tokens)[0])

        def project(matched: torch.Tensor) -> torch.Tensor:
            pairs = torch.cat([matched, embeddings.expand(2, -1, -1)], dim=-1)
            return learner.relationship_descriptor.projection(pairs)

        queries = {
            "project_first": lambda: attend(project(matched)),
            "attend_first": lambda: project(attend(matched)),
        }[structure]()
        torch.testing.assert_close(learner(embeddings, g), queries)
        maps = head.decoder(queries, patches)
        output = head(patches, g, classes)
        torch.testing.assert_close(output.mask_logits, maps[:, :-1])
        torch.testing.assert_close(output.extra_maps["trusty_map"], maps[:, -1:])

    def test_gamma_comes_before_trust(self) -> None:
        head = self.build_head(gamma=0.1)
        probabilities, trust = torch.rand(1, 2, 3, 3), torch.rand(1, 1, 3, 3)
        seen, unseen = head.calibrate(
            Prediction(probabilities, trusty(trust)), torch.tensor([True, False])
        ).probabilities.split(1, dim=1)
        torch.testing.assert_close(seen, (probabilities[:, :1] - 0.1) * trust)
        torch.testing.assert_close(unseen, probabilities[:, 1:] * (1 - trust))

    @pytest.mark.parametrize("word", ["structure", "trusty_loss", "trusty_target"])
    def test_unknown_choice_is_named(self, word: str) -> None:
        with pytest.raises(ValueError, match=f"{word}='nonsense' is not one of"):
            self.build_head(**{word: "nonsense"})

    def test_dice_loss_is_smaller_for_the_right_map(self) -> None:
        head = self.build_head(trusty_loss="dice")
        labels = torch.tensor([[[0, 255], [1, 255]]])
        good = torch.tensor([[[[9.0, -9.0], [9.0, -9.0]]]])
        masks = torch.zeros(1, 3, 2, 2)
        right = head.losses(HeadOutput(masks, trusty(good)), labels)["loss_trusty"]
        wrong = head.losses(HeadOutput(masks, trusty(-good)), labels)["loss_trusty"]
        assert right < 0.1 < wrong


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("none", (0.5, 0.4)),
        ("seen", (0.5 * 0.8, 0.4)),
        ("unseen", (0.5, 0.4 * 0.2)),
        ("both", (0.5 * 0.8, 0.4 * 0.2)),
    ],
)
def test_weight_by_trust(weighting: str, expected: tuple[float, float]) -> None:
    probabilities = torch.tensor([0.5, 0.4]).view(1, 2, 1, 1)
    trusty_map = torch.full((1, 1, 1, 1), 0.8)
    weighted = weight_by_trust(probabilities, trusty_map, torch.tensor([True, False]), weighting)
    np.testing.assert_allclose(weighted.flatten(), expected, rtol=1e-6)
