"""The vocabulary's way from the data set to the model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.runner import BaseLoop
from torch import nn

from zegclip.engine import VocabularyHook
from zegclip.errors import InputError

CLASSES = ("cat", "dog", "bus")


class Loop(BaseLoop):
    """A training that is going on; before it, mmengine keeps the loop's config there."""

    def run(self) -> None: ...


def meta(**changes: Any) -> dict[str, Any]:
    return {"classes": CLASSES, "unseen": ("dog",), "setting": "inductive", **changes}


def runner(train: dict[str, Any], val: dict[str, Any], test: dict[str, Any]) -> SimpleNamespace:
    loaders = {
        f"{name}_dataloader": SimpleNamespace(dataset=SimpleNamespace(metainfo=metainfo))
        for name, metainfo in (("train", train), ("val", val), ("test", test))
    }
    loop = Loop.__new__(Loop)
    return SimpleNamespace(
        cfg={},
        model=nn.Module(),
        val_loop=loop,
        train_loop=loop,
        _train_loop=loop,
        _resume=False,
        **loaders,
    )


def test_model_gets_the_metainfo_of_what_runs() -> None:
    val = meta(classes=("tree", "road"), unseen=("tree",))  # another data set
    run, hook = runner(meta(), val, meta(dataset_name="mine")), VocabularyHook()
    hook.before_train(run)
    assert run.model.dataset_meta["classes"] == CLASSES
    hook.before_val_epoch(run)
    assert run.model.dataset_meta["classes"] == ("tree", "road")
    hook.after_val_epoch(run)
    assert run.model.dataset_meta["classes"] == CLASSES
    hook.before_test_epoch(run)
    assert run.model.dataset_meta["dataset_name"] == "mine"


def test_training_and_validation_must_agree_on_the_split() -> None:
    run = runner(meta(), meta(unseen=("bus",)), meta())
    with pytest.raises(InputError, match=r"\['dog'\].*\['bus'\]"):
        VocabularyHook().before_train(run)


CALLED_DOG = ({"cat": ("cat", "dog")}, {"dog": ("dog", "cat")})
ANIMALS = meta(synonyms={"cat": ("cat", "an animal"), "dog": ("dog", "an animal")})


@pytest.mark.parametrize(
    ("trained", "tested", "leaks"),
    [
        (meta(), meta(), False),
        (meta(unseen=("bus",)), meta(), True),
        (meta(setting="supervised"), meta(), True),
        (meta(setting="supervised"), meta(setting="supervised"), False),
        (meta(), meta(classes=("tree", "dog"), unseen=("dog",)), False),
        # Another class list does not make a trained class an unseen one.
        (meta(), meta(classes=("tree", "cat", "dog"), unseen=("cat",)), "cat"),
        (meta(setting="supervised"), meta(classes=("tree", "dog"), unseen=("dog",)), True),
        (meta(), meta(classes=("tree", "Cat", "dog"), unseen=("Cat",)), "Cat"),
        (meta(), meta(classes=("tree", "c-a_t"), unseen=("c-a_t",)), "c-a_t"),
        # Nor does another name: VOC's pottedplant is COCO-Stuff's potted plant.
        (
            meta(classes=("Potted plant", "dog")),
            meta(classes=("tree", "pottedplant"), unseen=("pottedplant",)),
            "pottedplant",
        ),
        (
            meta(synonyms={"cat": ("potted plant",)}),
            meta(
                classes=("tree", "flower"),
                unseen=("flower",),
                synonyms={"flower": ("potted plant", "house plant")},
            ),
            "flower",
        ),
        # Within one class list a seen and an unseen class may share a word.
        (ANIMALS, ANIMALS, False),
        *((meta(synonyms=shared),) * 2 + ("dog",) for shared in CALLED_DOG),
        (meta(setting="transductive"), meta(setting="transductive"), False),
        (meta(setting="supervised"), meta(setting="transductive"), True),
    ],
)
def test_a_checkpoint_is_not_tested_on_what_it_has_seen_as_unseen(
    trained: dict[str, Any], tested: dict[str, Any], leaks: bool | str
) -> None:
    run, hook = runner(trained, trained, tested), VocabularyHook()
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": trained}, "state_dict": {}})
    if leaks:
        name = "dog" if leaks is True else leaks
        with pytest.raises(InputError, match=rf"trained on .*{name}.*config that trained"):
            hook.before_test_epoch(run)
    else:
        hook.before_test_epoch(run)
        assert run.model.dataset_meta is tested


@pytest.mark.parametrize("setting", ["transductive", "supervised"])
def test_an_inductive_checkpoint_is_not_reported_as_another_setting_s(setting: str) -> None:
    tested, hook = meta(setting=setting), VocabularyHook()
    run = runner(meta(), meta(), tested)
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": meta()}, "state_dict": {}})
    with pytest.raises(InputError, match=f"trained in the inductive .* reported as {setting}"):
        hook.before_test_epoch(run)


def test_weights_of_which_nobody_knows_what_they_saw() -> None:
    """By mmseg's own scripts, too, which check nothing before."""
    run = runner(meta(), meta(), meta())
    run.cfg = {"model": {"backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": "x.pth"}}}}
    VocabularyHook().before_train(run)  # of somebody else's model
    run.model.set_vocabulary = lambda _: None
    with pytest.raises(InputError, match=r"model\.backbone\.init_cfg of type Pretrained"):
        VocabularyHook().before_train(run)


def test_a_checkpoint_is_not_tested_on_what_it_has_not_seen_as_seen() -> None:
    """Those classes would count in mIoU(S)."""
    run, hook = runner(meta(), meta(), meta()), VocabularyHook()
    fewer = meta(unseen=("dog", "bus"))
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": fewer}, "state_dict": {}})
    hook.before_train(run)  # a training may go on with more classes
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": fewer}, "state_dict": {}})
    with pytest.raises(InputError, match="not trained on bus, which this config calls seen"):
        hook.before_test_epoch(run)


def test_training_does_not_start_from_what_has_seen_the_unseen() -> None:
    run, hook = runner(meta(), meta(), meta()), VocabularyHook()
    supervised = meta(setting="supervised")
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": supervised}, "state_dict": {}})
    with pytest.raises(InputError, match="trained on dog"):
        hook.before_train(run)


@pytest.mark.parametrize("resumed", [False, True])
def test_what_was_trained_on_before_stays_seen(resumed: bool) -> None:
    """Supervised on one data set, then on another one, then tested on the first."""
    other = meta(classes=("tree", "road"), unseen=("tree",))
    run, hook = runner(other, other, meta()), VocabularyHook()
    first = {"meta": {"dataset_meta": meta(setting="supervised")}}
    hook.after_load_checkpoint(run, first)
    hook.before_train(run)
    saved: dict[str, Any] = {"meta": {"dataset_meta": other}}
    hook.before_save_checkpoint(run, saved)
    if resumed:
        run._resume, hook = True, VocabularyHook()
        hook.after_load_checkpoint(run, saved)
        hook.before_train(run)
        saved = {"meta": {"dataset_meta": other}}
        hook.before_save_checkpoint(run, saved)
    assert len(saved["meta"]["trained_before"]) == 1
    hook = VocabularyHook()
    hook.after_load_checkpoint(run, saved)
    with pytest.raises(InputError, match="trained on dog"):
        hook.before_test_epoch(run)


def test_a_supervised_training_is_not_validated_as_inductive() -> None:
    with pytest.raises(InputError, match="one setting in all three loaders"):
        VocabularyHook().before_train(runner(meta(setting="supervised"), meta(), meta()))


def test_cross_dataset_is_for_other_data_sets() -> None:
    cross = meta(setting="cross_dataset", unseen=())
    with pytest.raises(InputError, match="it is for testing"):
        VocabularyHook().before_train(runner(cross, cross, cross))
    hook, run = VocabularyHook(), runner(meta(), meta(), cross)
    hook.after_load_checkpoint(run, {"meta": {"dataset_meta": meta()}, "state_dict": {}})
    with pytest.raises(InputError, match="on the classes that the model was trained with"):
        hook.before_test_epoch(run)
    elsewhere = {**cross, "classes": ("tree", "dog")}
    hook.before_test_epoch(runner(meta(), meta(), elsewhere))


@pytest.mark.parametrize("setting", ["inductive", "transductive"])
def test_training_needs_unseen_classes(setting: str) -> None:
    run = runner(meta(setting=setting, unseen=()), meta(), meta())
    with pytest.raises(InputError, match="no class of the data set is unseen: name some"):
        VocabularyHook().before_train(run)


def test_a_start_that_does_not_say_what_it_has_seen() -> None:
    run, hook = runner(meta(), meta(), meta()), VocabularyHook()
    hook.after_load_checkpoint(run, {"state_dict": {}})
    with pytest.raises(InputError, match="does not say what it was trained on"):
        hook.before_train(run)
    said: list[str] = []
    run.logger = SimpleNamespace(warning=said.append)
    hook.before_test_epoch(run)
    assert "does not say what it was trained on" in said[0]
    supervised = meta(setting="supervised", unseen=())
    hook.before_train(runner(supervised, supervised, supervised))


def test_training_on_a_data_set_without_a_split() -> None:
    run = runner({"classes": CLASSES}, {"classes": CLASSES}, meta())
    VocabularyHook().before_train(run)  # a model of somebody else's
    run.model.set_vocabulary = None
    with pytest.raises(InputError, match="SimpleNamespace does not say which classes are unseen"):
        VocabularyHook().before_train(run)
