"""The segmentor: vocabulary, checkpoints, inference modes, messages."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint, weights_to_cpu
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

import ldvc  # noqa: F401  (a text encoder that learns)
from zegclip.apis.class_words import text_fingerprint
from zegclip.clip import PromptedImageEncoder
from zegclip.errors import InputError
from zegclip.evaluation import protocol_fingerprint
from zegclip.heads import ATMHead, upsample
from zegclip.segmentors import ZeroShotSegmentor, zero_shot_segmentor
from zegclip.vocabulary import Vocabulary

CLASSES = ("cat", "bus", "sofa")
VOCABULARY = Vocabulary(CLASSES, unseen=("sofa",))


def build(config: Path, seed: int = 0, **changes: Any) -> ZeroShotSegmentor:
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "ZeroShotSegmentor",
            "clip": {"model_name": str(config), "weights": f"random:{seed}"},
            "image_encoder": {"type": "PromptedImageEncoder", "num_prompts": 2},
            "text_encoder": {"type": "TextEncoder"},
            "decode_head": {
                "type": "ATMHead",
                "decoder": {"num_heads": 4, "feedforward_channels": 32},
            },
            **changes,
        }
    )
    model.init_weights()
    model.set_vocabulary(VOCABULARY)
    return model.eval()


@pytest.fixture
def model(tiny_clip_config: Path) -> ZeroShotSegmentor:
    return build(tiny_clip_config)


@torch.no_grad()
def probabilities(model: ZeroShotSegmentor, image: Tensor) -> Tensor:
    """``(C, H, W)`` at the image's size."""
    (prediction,) = model.encode_decode(image)
    return prediction.whole().probabilities


def test_checkpoint_round_trip_through_mmengine(
    model: ZeroShotSegmentor, tiny_clip_config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pth"
    save_checkpoint({"state_dict": weights_to_cpu(model.state_dict())}, str(file))
    other = build(tiny_clip_config)
    with torch.no_grad():
        for parameter in other.decode_head.parameters():
            parameter.zero_()
    load_checkpoint(other, str(file), strict=True)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected, result = model.predict(image)[0], other.predict(image)[0]
    assert torch.equal(expected.pred_sem_seg.data, result.pred_sem_seg.data)
    assert torch.equal(probabilities(model, image), probabilities(other, image))
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert file.stat().st_size < 4 * frozen  # CLIP is not in it


def test_other_clip_weights_are_refused(
    model: ZeroShotSegmentor, tiny_clip_config: Path, tmp_path: Path
) -> None:
    other = build(tiny_clip_config, seed=1)
    before = other.decode_head.state_dict()["decoder.layers.0.attention_norm.weight"].clone()
    with pytest.raises(InputError, match=r"other CLIP weights.*random:1.*model\.clip"):
        other.load_state_dict(model.state_dict())
    after = other.decode_head.state_dict()["decoder.layers.0.attention_norm.weight"]
    assert torch.equal(before, after)


class WithBuffers(ATMHead):
    """A head with a buffer that is saved, one that is not, and a frozen parameter."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.relationship_descriptor.requires_grad_(False)


def test_everything_but_clip_is_saved(tiny_clip_config: Path) -> None:
    head = {"type": WithBuffers, "decoder": {"num_heads": 4, "feedforward_channels": 32}}
    model, other = (
        build(tiny_clip_config, decode_head=head),
        build(tiny_clip_config, decode_head=head),
    )
    model.decode_head.kept.fill_(7)
    state = model.state_dict()
    assert "decode_head.relationship_descriptor.projection.weight" in state
    assert "decode_head.scratch" not in state
    other.load_state_dict(state)
    assert other.decode_head.kept.tolist() == [7, 7]
    # A part of CLIP that somebody trains is CLIP's own no more.
    model.image_encoder.visual.ln_post.requires_grad_(True).weight.data.fill_(3)
    other.load_state_dict(model.state_dict())
    assert other.image_encoder.visual.ln_post.weight.eq(3).all()


def test_averaged_weights_survive(tiny_clip_config: Path, tmp_path: Path) -> None:
    """mmengine's EMAHook saves a frozen copy of the model in the model's place."""
    model = build(tiny_clip_config)
    runner = SimpleNamespace(model=model, cfg={}, _resume=False, iter=0, epoch=0)
    hook = EMAHook(momentum=0.5)
    hook.before_run(runner)
    averaged = hook.ema_model.module.decode_head.decoder.mask_attention.query.weight
    averaged.add_(1)
    checkpoint = {"state_dict": model.state_dict()}
    hook.before_save_checkpoint(runner, checkpoint)
    saved = checkpoint["state_dict"]
    assert set(saved) == set(model.state_dict())
    assert saved["decode_head.decoder.mask_attention.query.weight"].equal(averaged)
    build(tiny_clip_config).load_state_dict(saved)


class Unfrozen(PromptedImageEncoder):
    """An image encoder of one's own, which trains a part of CLIP."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.visual.ln_post.requires_grad_(True)


def test_averages_of_trained_parts_of_clip_survive(tiny_clip_config: Path) -> None:
    model = build(tiny_clip_config, image_encoder={"type": Unfrozen})
    runner = SimpleNamespace(model=model, cfg={}, _resume=False, iter=0, epoch=0)
    hook, name = EMAHook(), "image_encoder.visual.ln_post.weight"
    hook.before_run(runner)
    averaged = hook.ema_model.module.image_encoder.visual.ln_post.weight
    averaged.add_(1)
    checkpoint = {"state_dict": model.state_dict()}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint["state_dict"][name].equal(averaged)
    without = {key: value for key, value in model.state_dict().items() if key != name}
    with pytest.raises(InputError, match=f"it lacks {name}"):
        model.load_state_dict(without)


def test_a_pickled_model_is_the_same(model: ZeroShotSegmentor) -> None:
    """As a process that is spawned gets it; what it saves is without CLIP, too."""
    other = pickle.loads(pickle.dumps(model))
    image = torch.randn(1, 3, 32, 48)
    assert torch.equal(probabilities(model, image), probabilities(other, image))
    assert set(other.state_dict()) == set(model.state_dict())


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)]
)
def test_other_precisions(model: ZeroShotSegmentor, dtype: torch.dtype, tolerance: float) -> None:
    image = torch.randn(1, 3, 32, 48)
    expected = probabilities(model, image)
    found = probabilities(model.to(dtype), image.to(dtype)).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("setting", ["inductive", "supervised"])
def test_where_nothing_is_unseen_nothing_is_calibrated(
    model: ZeroShotSegmentor, setting: str
) -> None:
    """Such as a person's own words by ``dataset_meta``: a threshold must mean the same."""
    image = torch.randn(1, 3, 32, 32)
    model.set_vocabulary(Vocabulary(CLASSES, setting="cross_dataset"))
    expected = probabilities(model, image)
    model.set_vocabulary(Vocabulary(CLASSES, setting=setting))
    assert torch.equal(probabilities(model, image), expected)


def test_a_background_has_no_class_s_label(model: ZeroShotSegmentor) -> None:
    model.test_cfg["background"] = {"threshold": 1.0}
    names = [f"thing number {index}" for index in range(255)]
    model.set_vocabulary(Vocabulary(names, setting="cross_dataset"))
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert model.predict(image)[0].pred_sem_seg.data.unique().tolist() == [255]
        model.set_vocabulary(Vocabulary([*names, "one more"], setting="cross_dataset"))
        with pytest.raises(InputError, match="256 classes and a background: label 255"):
            model.predict(image)


def test_what_a_checkpoint_of_another_model_has_otherwise(model: ZeroShotSegmentor) -> None:
    """Also where loading is not strict, as mmengine's: the rest would be tested untrained."""
    state = model.state_dict()
    prompts = state.pop("image_encoder.prompts")
    for change, said in (
        ({}, r"another model.*it lacks image_encoder\.prompts"),
        ({"image_encoder.prompts": prompts[:, :1]}, r"prompts is \(\d+, 1, .* and the model's"),
        ({"image_encoder.prompts": prompts, "decode_head.x": prompts}, r"it holds decode_head\.x"),
    ):
        with pytest.raises(InputError, match=said):
            model.load_state_dict(state | change, strict=False)


def test_vocabulary_comes_from_metainfo(model: ZeroShotSegmentor) -> None:
    model.dataset_meta = {"classes": ("tree", "bus"), "unseen": ("tree",)}
    assert model.vocabulary.seen == ("bus",)
    assert model.class_embeddings().shape == (2, 32)
    assert probabilities(model, torch.randn(1, 3, 32, 32)).shape[0] == 2


def test_learned_class_embeddings_are_computed_once_per_evaluation(
    tiny_clip_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_encoder = {"type": "PromptedTextEncoder"}
    model = build(tiny_clip_config, text_encoder=text_encoder)
    calls: list[Vocabulary] = []
    embed = model.text_encoder.embed
    monkeypatch.setattr(model.text_encoder, "embed", lambda *a: calls.append(a) or embed(*a))
    before = model.class_embeddings()
    assert model.class_embeddings() is before and len(calls) == 1
    with torch.no_grad():
        model.text_encoder.language_prompts.add_(1)
    for change in (model.eval, lambda: model.load_state_dict(model.state_dict())):
        change()
        assert not model.class_embeddings().equal(before)
    assert len(calls) == 3
    model.train()
    model.class_embeddings(), model.class_embeddings()
    assert len(calls) == 5  # in training nothing is kept


def test_embeddings_of_the_vocabularies_used_last_are_kept(
    model: ZeroShotSegmentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot_segmentor, "_VOCABULARIES_KEPT", 2)
    embedded: list[str] = []
    embed = model.text_encoder.forward

    def count_and_embed(vocabulary: Vocabulary) -> Tensor:
        embedded.extend(vocabulary.classes)
        return embed(vocabulary)

    monkeypatch.setattr(model.text_encoder, "forward", count_and_embed)
    for name in "abacab":  # c takes the place of b, and b that of c
        model.class_embeddings(Vocabulary([name]))
    assert embedded == ["a", "b", "c", "b"]


def test_mmseg_inferencers_short_metainfo_is_completed(model: ZeroShotSegmentor) -> None:
    dataset = {"type": "ZeroShotDataset", "unseen": ["bus"], "metainfo": {"classes": CLASSES}}
    dataset["synonyms"] = {"cat": ["kitten"]}
    model.cfg = {"test_dataloader": {"dataset": dataset}}
    model.dataset_meta = {"classes": CLASSES, "palette": [[0, 0, 0]] * 3}
    assert model.vocabulary.unseen == ("bus",)
    assert model.vocabulary.words[0] == ("kitten",)
    model.dataset_meta = {"classes": ("tree",), "palette": [[0, 0, 0]]}
    assert model.vocabulary.unseen == ()


def test_without_a_vocabulary_it_says_so(tiny_clip_config: Path) -> None:
    model = build(tiny_clip_config)
    model._vocabulary = None
    with pytest.raises(RuntimeError, match="no vocabulary yet.*default_hooks"):
        model.predict(torch.randn(1, 3, 32, 32))


def test_slide_equals_whole_for_one_window(tiny_clip_config: Path) -> None:
    whole = build(tiny_clip_config, test_cfg={"mode": "whole"})
    slide = build(
        tiny_clip_config, test_cfg={"mode": "slide", "crop_size": (32, 32), "stride": (16, 16)}
    )
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(probabilities(whole, image), probabilities(slide, image))
    with torch.no_grad():
        wide = slide.encode_decode(torch.randn(2, 3, 24, 70))
    assert [each.whole().probabilities.shape for each in wide] == [(3, 24, 70)] * 2


def test_prediction_has_the_original_size_and_undoes_a_flip(model: ZeroShotSegmentor) -> None:
    model.test_cfg["keep_probabilities"] = True
    image = torch.randn(1, 3, 32, 32)
    plain, flipped = SegDataSample(), SegDataSample()
    plain.set_metainfo({"ori_shape": (50, 41)})
    flipped.set_metainfo({"ori_shape": (50, 41), "flip": True, "flip_direction": "horizontal"})
    with torch.no_grad():
        (one,) = model.predict(image, [plain])
        (other,) = model.predict(image, [flipped])
    assert one.pred_sem_seg.data.shape == (1, 50, 41)
    torch.testing.assert_close(one.seg_logits.data, other.seg_logits.data.flip(-1))
    for sample in (one, other):
        assert torch.equal(sample.pred_sem_seg.data[0], sample.seg_logits.data.argmax(dim=0))


def test_flips_are_averaged_in_test_time_augmentation(model: ZeroShotSegmentor) -> None:
    image, versions, maps = torch.randn(1, 3, 32, 32), [], []
    extra_maps = torch.rand(2, 3, 40, 41)
    tta = MODELS.build({"type": "ZeroShotTTAModel", "module": model})
    for flip in (False, True):
        metainfo = {"ori_shape": (40, 41), "flip": flip, "flip_direction": "horizontal"}
        with torch.no_grad():
            (sample,) = model.predict(
                image.flip(-1) if flip else image, [SegDataSample(metainfo=metainfo)]
            )
        sample.set_data({"trusty_map": PixelData(data=extra_maps[int(flip)].clone())})
        versions.append(sample)
        maps.append(sample.seg_logits.data)
    (merged,) = tta.merge_preds([versions])
    assert not torch.allclose(*maps)
    torch.testing.assert_close(merged.seg_logits.data, (maps[0] + maps[1]) / 2)
    torch.testing.assert_close(merged.trusty_map.data, extra_maps.mean(dim=0))
    assert torch.equal(merged.pred_sem_seg.data[0], merged.seg_logits.data.argmax(dim=0))
    nothing = versions[0].clone()  # the last map is that of none of the classes
    nothing.seg_logits.data = torch.cat([maps[0], torch.ones(1, *maps[0].shape[1:])])
    (merged,) = tta.merge_preds([[nothing]])
    assert (merged.pred_sem_seg.data == 255).all()


def test_padding_of_the_data_preprocessor_is_removed(model: ZeroShotSegmentor) -> None:
    model.test_cfg["keep_probabilities"] = True
    image = torch.randn(1, 3, 32, 32)
    padded = torch.nn.functional.pad(image, (0, 16, 0, 8))
    sample = SegDataSample()
    sample.set_metainfo({"ori_shape": (32, 32), "img_padding_size": (0, 16, 0, 8)})
    with torch.no_grad():
        (result,) = model.predict(padded, [sample])
    expected = probabilities(model, padded)[:, :32, :32]
    torch.testing.assert_close(result.seg_logits.data, expected)


def test_protocol_names_what_numbers_depend_on(model: ZeroShotSegmentor) -> None:
    protocol = model.protocol()
    assert protocol["clip"]["weights"] == "random:0"
    assert protocol["clip"]["fingerprint"] == bytes(model.clip_fingerprint).hex()
    assert "fixed_settings" not in protocol
    assert protocol["templates"] == ["a photo of a {}"]
    assert protocol["inference"] == {"mode": "whole", "crop_size": None, "stride": None}
    assert protocol["gamma"] == 0.1
    model.test_cfg |= {"background": {"threshold": 0.5}, "refine": "pamr"}
    changed = model.protocol()["inference"]
    assert changed["background"] == {"threshold": 0.5} and changed["refine"] == "pamr"
    model.set_vocabulary(Vocabulary(classes=("cat",), setting="supervised"))
    assert model.protocol()["gamma"] == 0.0


def test_settings_that_no_weight_shows_make_no_other_clip(
    model: ZeroShotSegmentor, tiny_clip_config: Path
) -> None:
    """The checkpoint's mark is another one; CLIP, and what it makes of words, are the same."""
    encoder = {"type": "PromptedImageEncoder", "num_prompts": 2, "class_embedding_twice": True}
    twice = build(tiny_clip_config, image_encoder=encoder)
    assert not twice.clip_fingerprint.equal(model.clip_fingerprint)
    assert twice.protocol()["clip"] == model.protocol()["clip"]
    assert twice.protocol()["fixed_settings"] == ["image_encoder.class_embedding_twice=True"]
    assert text_fingerprint(twice) == text_fingerprint(model)


@pytest.mark.parametrize("pseudo_labels", ["unseen_pixels", "all_unlabelled"])
def test_self_training_labels_these_pixels_by_itself(
    pseudo_labels: str, tiny_clip_config: Path
) -> None:
    model = build(tiny_clip_config, pseudo_labels=pseudo_labels)
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.full((1, 32, 32), 255)
    labels[:, :16, :28] = 0
    # The image has 30x28 pixels; the rest is padding of the batch, which the unseen map has not.
    unseen = torch.zeros(1, 30, 28, dtype=torch.uint8)
    unseen[:, 24:] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo={"img_shape": (30, 28)})
    places = torch.zeros(1, 32, 32, dtype=torch.bool)
    if pseudo_labels == "unseen_pixels":
        sample.gt_unseen_map = PixelData(data=unseen)
        places[:, 24:30, :28] = True
    else:  # and there is no map that it could look at
        places[:, 16:30, :28] = True
    # The label is the model's own choice among the unseen classes.
    model.set_vocabulary(Vocabulary(CLASSES, unseen=("bus", "sofa"), setting="transductive"))
    with torch.no_grad():
        logits = upsample(model(image, mode="tensor").mask_logits, (32, 32))
    told = torch.where(places, 1 + logits[:, 1:].argmax(dim=1), labels)
    counts = [int((told == index).sum()) for index in (1, 2)]
    assert min(counts) > 0
    losses = model.loss(image, [sample])
    assert model.pseudo_labelled.take().tolist() == [0, *counts]
    model.set_vocabulary(Vocabulary(CLASSES, unseen=("bus", "sofa"), setting="supervised"))
    expected = model.loss(image, [SegDataSample(gt_sem_seg=PixelData(data=told))])
    torch.testing.assert_close(losses, expected)
    without = model.loss(image, [SegDataSample(gt_sem_seg=PixelData(data=labels))])
    assert not torch.allclose(losses["loss_dice"], without["loss_dice"])


def test_the_protocol_names_how_self_training_labels(tiny_clip_config: Path) -> None:
    model = build(tiny_clip_config, pseudo_labels="all_unlabelled")
    assert "pseudo_labels" not in model.protocol()
    model.set_vocabulary(Vocabulary(CLASSES, unseen=("sofa",), setting="transductive"))
    ours = model.protocol()
    assert ours["pseudo_labels"] == "all_unlabelled"
    model.pseudo_labels = "unseen_pixels"
    assert protocol_fingerprint(ours) != protocol_fingerprint(model.protocol())


def test_pseudo_labels_that_cannot_be(tiny_clip_config: Path) -> None:
    with pytest.raises(InputError, match=r"pseudo_labels='all' is none of .*all_unlabelled"):
        build(tiny_clip_config, pseudo_labels="all")
    head = {"type": "ATMHead", "decoder": {"num_heads": 4, "feedforward_channels": 32}}
    with pytest.raises(InputError, match="looks at no hidden mask, and this decode_head's loss"):
        build(
            tiny_clip_config, pseudo_labels="all_unlabelled", decode_head=head | {"type": NeedsMap}
        )


class NeedsMap(ATMHead):
    """A head whose loss is shown where unseen objects are."""

    needs_unseen_map = True


def test_transductive_training_needs_the_unseen_map(model: ZeroShotSegmentor) -> None:
    model.set_vocabulary(Vocabulary(CLASSES, unseen=("sofa",), setting="transductive"))
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32)))
    with pytest.raises(ValueError, match="needs the data set's unseen map"):
        model.loss(torch.randn(1, 3, 32, 32), [sample])
