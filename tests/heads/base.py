"""What every method's head must do; each method's test class inherits :class:`HeadTester`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from zegclip.datasets.transforms import HideUnseenLabels
from zegclip.errors import InputError
from zegclip.heads import ZeroShotHead
from zegclip.segmentors import ZeroShotSegmentor
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "dog", "bus", "sofa", "tree")
UNSEEN = ("dog", "sofa")


def unit(*shape: int, dim: int = -1, seed: int = 0) -> Tensor:
    """Random vectors of unit length over ``dim``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=dim)


class HeadTester:
    """Set ``head`` to a config without ``embed_dims``, encoders of its own, and inherit."""

    head: ClassVar[dict[str, Any]]
    image_encoder: ClassVar[dict[str, Any]] = {"type": "PromptedImageEncoder", "num_prompts": 2}
    text_encoder: ClassVar[dict[str, Any]] = {"type": "TextEncoder"}

    # --- fixtures ---------------------------------------------------------------------------

    def build_head(self, embed_dims: int = 32, **changes: Any) -> ZeroShotHead:
        torch.manual_seed(0)
        head = MODELS.build({**self.head, **changes, "embed_dims": embed_dims})
        # Far from the small start, so that differences between classes are visible.
        for parameter in head.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        return head.eval()

    @pytest.fixture(scope="class")
    def segmentor(self, tiny_clip_config: str) -> ZeroShotSegmentor:
        torch.manual_seed(0)
        model = MODELS.build(
            {
                "type": "ZeroShotSegmentor",
                "clip": {"model_name": str(tiny_clip_config), "weights": "random:0"},
                "image_encoder": self.image_encoder,
                "text_encoder": self.text_encoder,
                "decode_head": self.head,
            }
        )
        model.init_weights()
        model.set_vocabulary(self.vocabulary())
        return model

    @staticmethod
    def vocabulary(**changes: Any) -> Vocabulary:
        return Vocabulary(**{"classes": CLASSES, "unseen": UNSEEN, **changes})

    @staticmethod
    def sample(labels: np.ndarray, hide: bool = True) -> SegDataSample:
        """A sample as the training pipeline packs it."""
        unseen_ids = [CLASSES.index(name) for name in UNSEEN]
        results = {
            "gt_seg_map": labels.copy(),
            "seg_fields": ["gt_seg_map"],
            "unseen_label_ids": unseen_ids,
            "setting": "inductive",
        }
        if hide:
            results = HideUnseenLabels()(results)
        data = torch.from_numpy(results["gt_seg_map"].astype(np.int64))[None]
        sample = SegDataSample(gt_sem_seg=PixelData(data=data))
        unseen = torch.from_numpy(np.isin(labels, unseen_ids).astype(np.uint8))[None]
        sample.gt_unseen_map = PixelData(data=unseen)
        sample.set_metainfo({"seg_map_path": "photo.png"})
        return sample

    @staticmethod
    def labels(seed: int = 0, size: tuple[int, int] = (32, 32)) -> np.ndarray:
        values = np.array([0, 1, 2, 3, 4, 255], dtype=np.uint8)
        coarse = np.random.default_rng(seed).choice(values, (4, 4))
        return np.kron(coarse, np.ones((size[0] // 4, size[1] // 4), np.uint8))

    # --- the head by itself -----------------------------------------------------------------

    @pytest.mark.parametrize("grid", [(4, 4), (3, 7)])
    @pytest.mark.parametrize("num_classes", [1, 5, 171])
    def test_any_grid_and_class_count(self, grid: tuple[int, int], num_classes: int) -> None:
        head = self.build_head()
        output = head(unit(2, 32, *grid, dim=1), unit(2, 32), unit(num_classes, 32))
        assert output.mask_logits.shape == (2, num_classes, *grid)
        prediction = head.predict(output.upsampled((32, 40)))
        calibrated = head.calibrate(prediction, torch.arange(num_classes) % 2 == 0)
        for probabilities, maps in (prediction, calibrated):
            assert probabilities.shape == (2, num_classes, 32, 40)
            assert probabilities.isfinite().all()
            for extra in maps.values():
                assert extra.shape[0] == 2 and extra.shape[2:] == (32, 40)
                assert 0 <= extra.min() <= extra.max() <= 1

    def test_permuting_the_classes_permutes_the_output(self) -> None:
        head = self.build_head()
        inputs = unit(2, 32, 4, 4, dim=1), unit(2, 32)
        classes, order = unit(6, 32, seed=1), torch.tensor([3, 0, 5, 1, 4, 2])
        seen = torch.tensor([True, True, False, True, False, True])
        straight = head.calibrate(head.predict(head(*inputs, classes)), seen)
        permuted = head.predict(head(*inputs, classes[order]))
        permuted = head.calibrate(permuted, seen[order])
        torch.testing.assert_close(straight.probabilities[:, order], permuted.probabilities)
        assert straight.probabilities.std(dim=1).mean() > 1e-4  # classes differ at all
        torch.testing.assert_close(straight.extra_maps, permuted.extra_maps)

    def test_attention_is_shares(self) -> None:
        head = self.build_head()
        output = head(unit(2, 32, 3, 5, dim=1), unit(2, 32), unit(4, 32, seed=1))
        maps = head.attention(output)
        assert maps.shape == (2, 4, 3, 5) and maps.min() >= 0
        # Shares of the patches, or of the classes at each patch.
        over_patches, over_classes = maps.sum(dim=(2, 3)), maps.sum(dim=1)
        sums = over_patches if over_patches.allclose(torch.ones(2, 4)) else over_classes
        torch.testing.assert_close(sums, torch.ones_like(sums))
        assert head.attention_meaning

    def test_gamma_lowers_seen_classes_alone(self) -> None:
        seen = torch.tensor([True, False, True])
        head = self.build_head(gamma=0.1)
        plain = head.predict(head(unit(1, 32, 4, 4, dim=1), unit(1, 32), unit(3, 32)))
        calibrated = head.calibrate(plain, seen)
        without = self.build_head(gamma=0.0).calibrate(plain, seen)
        gap = without.probabilities - calibrated.probabilities
        assert gap[:, seen].gt(0).all() and gap[:, ~seen].eq(0).all()
        if type(head).calibrate is ZeroShotHead.calibrate:
            expected = plain.probabilities - 0.1 * seen[:, None, None].float()
            assert calibrated.probabilities.equal(expected)
        assert head.protocol(True)["gamma"] == 0.1
        assert head.protocol(False)["gamma"] == 0.0

    def test_aligned_start_ranks_classes_as_clip_does(self) -> None:
        if type(self.build_head()).start_aligned is ZeroShotHead.start_aligned:
            pytest.skip("this head has no aligned start, which is optional")
        torch.manual_seed(0)
        head = MODELS.build({**self.head, "embed_dims": 32, "aligned_start": 4.0})
        head.init_weights()
        head.eval()
        patches, classes = unit(1, 32, 6, 6, dim=1), unit(5, 32, seed=1)
        similarity = torch.einsum("bdhw,cd->bchw", patches, classes)
        masks = head(patches, unit(1, 32, seed=2), classes).mask_logits
        stacked = torch.stack([similarity.flatten(), masks.flatten()])
        assert torch.corrcoef(stacked)[0, 1] > 0.9

    def test_linear_layers_start_as_published(self) -> None:
        head = MODELS.build({**self.head, "embed_dims": 64})
        head.init_weights()
        linears = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
        for linear in linears:
            assert linear.weight.std().item() == pytest.approx(0.02, rel=0.15)
            assert linear.bias is None or not linear.bias.any()

    def test_starts_from_a_file_where_it_is_told_to(self, tmp_path: Path) -> None:
        state = self.build_head().state_dict()
        torch.save(state, tmp_path / "head.pth")
        pretrained = {"type": "Pretrained", "checkpoint": str(tmp_path / "head.pth")}
        head = MODELS.build({**self.head, "embed_dims": 32, "init_cfg": pretrained})
        head.init_weights()
        assert all(value.equal(state[key]) for key, value in head.state_dict().items())

    def test_save_and_load(self) -> None:
        head, other = self.build_head(), self.build_head()
        for parameter in other.parameters():
            torch.nn.init.zeros_(parameter)
        inputs = unit(1, 32, 4, 4, dim=1), unit(1, 32), unit(3, 32)
        other.load_state_dict(head.state_dict())
        assert torch.equal(head(*inputs).mask_logits, other(*inputs).mask_logits)

    def test_gradients(self) -> None:
        head = self.build_head(embed_dims=16).double().train(False)
        patches = unit(1, 16, 2, 2, dim=1).double().requires_grad_()
        g, classes = unit(1, 16).double(), unit(2, 16).double().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda v, t: head(v, g, t).mask_logits, (patches, classes), atol=1e-5
        )

    # --- in the segmentor -------------------------------------------------------------------

    def losses(self, model: ZeroShotSegmentor, *samples: SegDataSample) -> dict[str, Tensor]:
        image = torch.randn(len(samples), 3, 32, 32, generator=torch.Generator().manual_seed(1))
        return model.loss(image, list(samples))

    def test_queries_of_training_are_the_seen_classes(self, segmentor: ZeroShotSegmentor) -> None:
        words = [segmentor.vocabulary.words[index] for index in (0, 2, 4)]
        expected = segmentor.text_encoder.embed(words)
        torch.testing.assert_close(segmentor.training_embeddings(), expected)

    def test_learns_only_prompts_and_head(self, segmentor: ZeroShotSegmentor) -> None:
        segmentor.train()
        losses = self.losses(segmentor, *(self.sample(self.labels(s)) for s in (0, 1)))
        segmentor.zero_grad()
        # (mmengine's sum: other names are only logged.)
        torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
        for name, parameter in segmentor.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            else:
                assert parameter.grad is None, name
        frozen = [n for n, p in segmentor.named_parameters() if not p.requires_grad]
        assert any("visual" in name for name in frozen)
        assert all(not name.startswith("decode_head") for name in frozen)

    def test_unseen_labels_never_change_an_inductive_loss(
        self, segmentor: ZeroShotSegmentor
    ) -> None:
        segmentor.eval()
        labels = self.labels()
        fewer = labels.copy()
        fewer[np.isin(labels, [1, 3])] = 255
        assert (labels != fewer).any()
        torch.testing.assert_close(
            self.losses(segmentor, self.sample(labels)),
            self.losses(segmentor, self.sample(fewer)),
            rtol=0,
            atol=0,
        )
        seen_gone = np.where(labels == 0, 255, labels).astype(np.uint8)
        with_less = self.losses(segmentor, self.sample(seen_gone))
        assert any(
            not torch.equal(value, with_less[name])
            for name, value in self.losses(segmentor, self.sample(labels)).items()
        )

    def test_refuses_an_unseen_label(self, segmentor: ZeroShotSegmentor) -> None:
        with pytest.raises(InputError, match=r"photo\.png.*'dog'.*HideUnseenLabels"):
            self.losses(segmentor, self.sample(np.full((32, 32), 1, np.uint8), hide=False))

    @pytest.mark.parametrize("size", [(32, 32), (40, 64), (33, 50)])
    def test_any_image_size(self, segmentor: ZeroShotSegmentor, size: tuple[int, int]) -> None:
        segmentor.eval()
        with torch.no_grad():
            (sample,) = segmentor.predict(torch.randn(1, 3, *size))
        assert sample.pred_sem_seg.data.shape == (1, *size)

    def test_any_vocabulary_at_test(self, segmentor: ZeroShotSegmentor) -> None:
        segmentor.eval()
        words = Vocabulary(classes=("a red bus", "grass"), setting="supervised")
        try:
            segmentor.set_vocabulary(words)
            with torch.no_grad():
                (sample,) = segmentor.predict(torch.randn(1, 3, 32, 32))
        finally:
            segmentor.set_vocabulary(self.vocabulary())
        assert sample.pred_sem_seg.data.max() <= 1

    def test_checkpoint_holds_what_is_learned(self, segmentor: ZeroShotSegmentor) -> None:
        state = segmentor.state_dict()
        learned = {n for n, p in segmentor.named_parameters() if p.requires_grad}
        assert learned <= set(state) and "clip_fingerprint" in state
        assert not any(".visual." in name or ".tower." in name for name in state)
        segmentor.load_state_dict(state, strict=True)
