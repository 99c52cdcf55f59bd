"""Hands the data set's vocabulary to the model, so that no config repeats it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from zegclip.errors import InputError
from zegclip.vocabulary import Vocabulary, name_key

from .start_up import check_starts

# What of a training's data says which classes it saw.
_SPLIT = ("classes", "unseen", "synonyms", "setting", "dataset_name")


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Before training, validation and testing, the model gets that data set's metainfo.

    It also refuses what would make an "unseen" number a wrong one: training without unseen classes
    outside the supervised setting, training and validation with different splits of the same
    classes, testing a checkpoint on classes called unseen that its training has seen (or called
    seen that it has not), and a "cross-dataset" test on the training's own classes.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._trained_on: list[Mapping[str, Any]] = []  # the last training's at the end
        self._start_is_unknown = False  # a checkpoint that does not say what it was trained on

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember what the model was trained on, and before that, what it started from."""
        self._trained_on = trained_on(checkpoint.get("meta") or {})
        self._start_is_unknown = not self._trained_on

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write down what was trained on before this training."""
        checkpoint.setdefault("meta", {})["trained_before"] = [
            {key: each[key] for key in _SPLIT if key in each} for each in self._trained_on[:-1]
        ]

    def before_train(self, runner: Runner) -> None:
        """Check the split, and give the model the training's classes."""
        train = runner.train_dataloader.dataset.metainfo
        # (A model of somebody else's may start from any weights, and do without a split.)
        ours = hasattr(_model(runner), "set_vocabulary")
        if ours:
            check_starts(runner.cfg.get("model") or {})  # (mmseg's own scripts check nothing)
        if ours and "setting" not in train:
            kind = type(runner.train_dataloader.dataset).__name__
            raise InputError(
                f"a {kind} does not say which classes are unseen: train on a ZeroShotDataset, or "
                "one of the data sets built on it (docs/own_data.md)"
            )
        if self._start_is_unknown and train.get("setting", "supervised") != "supervised":
            raise InputError(
                "load_from: the checkpoint does not say what it was trained on, so that an unseen "
                "class may have been among it: start from one that tools/train.py wrote (an "
                "older published or converted one says it once it is made again)"
            )
        if train.get("setting") == "cross_dataset":
            raise InputError(
                "training in the cross_dataset setting: it is for testing on a data set that the "
                "model was not trained on; train inductively and test with another config"
            )
        if not train.get("unseen") and train.get("setting") in ("inductive", "transductive"):
            raise InputError(
                f"training in the {train['setting']} setting, but no class of "
                f"{train.get('dataset_name', 'the data set')} is unseen: name some "
                "(dataset=dict(unseen=[...])), or set setting='supervised'"
            )
        for each in self._trained_on:  # load_from or resume: what it has seen stays seen
            check_not_trained(each, train)
        if runner.val_loop is not None:
            val = runner.val_dataloader.dataset.metainfo
            _check_same_split(train, val)
            check_not_trained(train, val)
        if runner._resume and self._trained_on:  # (it is this training's own)
            self._trained_on.pop()
        self._trained_on.append(train)
        _give(runner, train)

    def before_val_epoch(self, runner: Runner) -> None:
        """Give the model the validation's classes."""
        _give(runner, runner.val_dataloader.dataset.metainfo)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Go back to the training's, which are others where validation is on another data set."""
        if isinstance(runner._train_loop, BaseLoop):
            _give(runner, runner.train_dataloader.dataset.metainfo)

    def before_test_epoch(self, runner: Runner) -> None:
        """Give the model the test's classes."""
        test = runner.test_dataloader.dataset.metainfo
        check_test(self._trained_on, test)
        if self._start_is_unknown and test.get("unseen"):
            runner.logger.warning(
                "the checkpoint does not say what it was trained on: whether classes that the test "
                "calls unseen were among it is not known"
            )
        _give(runner, test)


def trained_on(meta: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Metainfo of what a checkpoint was trained on, by its meta; the last training's at the end."""
    last = meta.get("dataset_meta")
    return [*meta.get("trained_before", ()), *([last] if last else ())]


def check_test(trained: Sequence[Mapping[str, Any]], test: Mapping[str, Any]) -> None:
    """Refuse a test whose split is not the training's.

    Args:
        trained: of :func:`trained_on`.
        test: metainfo of the test's data set.

    Raises:
        InputError: classes that it calls unseen were trained on, or those it calls seen were not.
    """
    for each in trained:
        check_not_trained(each, test)
    if trained:
        _check_trained(trained[-1], test)


def _model(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _give(runner: Runner, metainfo: Mapping[str, Any]) -> None:
    model = _model(runner)
    # (Within a test-time augmentation there is one more inside.)
    for each in (model, getattr(model, "module", None)):
        if each is not None:
            each.dataset_meta = metainfo


def _check_same_split(train: Mapping[str, Any], val: Mapping[str, Any]) -> None:
    ours, theirs = Vocabulary.from_metainfo(train), Vocabulary.from_metainfo(val)
    if ours.classes == theirs.classes and set(ours.unseen) != set(theirs.unseen):
        raise InputError(
            f"training takes {sorted(ours.unseen)} as unseen, validation "
            f"{sorted(theirs.unseen)}: give all three loaders the same split, "
            "train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(unseen=...))"
        )


def _check_trained(train: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    trained, tested = Vocabulary.from_metainfo(train), Vocabulary.from_metainfo(test)
    if trained.classes != tested.classes:
        return
    if trained.setting == "inductive" and tested.setting in ("transductive", "supervised"):
        raise InputError(
            f"the model was trained in the inductive setting, and its test by this config would be "
            f"reported as {tested.setting}: test a checkpoint with the config that trained it"
        )
    if tested.setting == "supervised":
        return
    if hidden := [name for name in tested.seen if name in trained.unseen]:
        raise InputError(
            f"the model was not trained on {', '.join(hidden)}, which this config calls seen: test "
            "a checkpoint with the config that trained it"
        )


def check_not_trained(train: Mapping[str, Any], test: Mapping[str, Any]) -> None:
    """Refuse to call unseen what a model was trained on.

    Args:
        train: metainfo of the data set that the model was trained with.
        test: metainfo of the data set that it is to be tested on.

    Raises:
        InputError: it was trained on classes that the test calls unseen.
    """
    trained, tested = Vocabulary.from_metainfo(train), Vocabulary.from_metainfo(test)
    if tested.setting == "supervised":
        return
    if tested.setting == "cross_dataset":
        if trained.classes != tested.classes:
            return
        raise InputError(
            "the cross_dataset setting on the classes that the model was trained with "
            f"({test.get('dataset_name', 'the same data set')}): test it with the config that "
            "trained it"
        )
    if trained.setting == "supervised":
        known: Iterable[str] = trained.classes
    elif tested.setting == "transductive":  # there pseudo-labels are allowed, masks are not
        known = trained.seen
    else:
        known = [trained.classes[index] for index in trained.train_ids]
    learned = set().union(*_words(trained, known).values())
    names = learned
    if trained.classes == tested.classes:
        # Two of one list may share a description; but neither may be called by the other's name.
        names = set().union(*_words(dataclasses.replace(trained, synonyms={}), known).values())
    unseen = _words(tested, tested.unseen)
    own = _words(dataclasses.replace(tested, synonyms={}), tested.unseen)
    if leaked := sorted(n for n, words in unseen.items() if words & names or own[n] & learned):
        raise InputError(
            f"the model was trained on {', '.join(leaked)} (setting {trained.setting!r}), which "
            f"the {tested.setting} setting of this config calls unseen: use one setting in all "
            "three loaders, and test a checkpoint with the config that trained it"
        )


def _words(vocabulary: Vocabulary, names: Iterable[str]) -> dict[str, set[str]]:
    """Names and synonyms of the given classes: what two data sets call alike is the same class.

    Spaces and hyphens do not count: VOC's pottedplant is COCO-Stuff's potted plant.
    """
    words = dict(zip(vocabulary.classes, vocabulary.words))
    keys = {name: map(name_key, (name, *words[name])) for name in names}
    return {name: {re.sub("[-_ ]", "", word) for word in own} for name, own in keys.items()}
