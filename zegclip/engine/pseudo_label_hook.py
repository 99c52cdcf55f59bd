"""A line in the log that says what self-training is fed with."""

from __future__ import annotations

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from zegclip.vocabulary import Vocabulary


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """In the transductive setting, log how many pixels were pseudo-labelled with which class.

    Counts of all processes since the last line; ``pseudo_labelled/CLASS`` in TensorBoard and the
    like is the share of the pseudo-labelled pixels in percent. A class that takes all of them, or
    gets none, is what a broken self-training looks like.

    Args:
        interval: iterations between two lines; there is one at the end of training as well.
    """

    def __init__(self, interval: int = 200) -> None:
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Log, where it is time to."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if getattr(model, "pseudo_labelled", None) is None:
            return
        if model.vocabulary.setting != "transductive":
            return
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            counts = model.pseudo_labelled.take()
            all_reduce(counts)
            runner.logger.info(counts_line(counts, model.vocabulary, model.pseudo_labels))
            total = max(1, int(counts.sum()))
            for name, index in zip(
                model.vocabulary.unseen, model.vocabulary.unseen_ids, strict=True
            ):
                share = 100 * int(counts[index]) / total
                runner.visualizer.add_scalar(f"pseudo_labelled/{name}", share, runner.iter + 1)


def counts_line(counts: Tensor, vocabulary: Vocabulary, pseudo_labels: str) -> str:
    """Pixels by unseen class, as a line of a log.

    Args:
        counts: ``(C,)`` pixels by class.
        vocabulary: with the names.
        pseudo_labels: the segmentor's, which pixels are labelled.
    """
    total = int(counts.sum())
    heading = f"pseudo-labelled pixels ({pseudo_labels}): "
    if not total:
        return f"{heading}none (unseen classes: {', '.join(vocabulary.unseen)})"
    parts = [
        f"{name} {int(counts[index]):,} ({100 * int(counts[index]) / total:.1f} %)"
        for name, index in zip(vocabulary.unseen, vocabulary.unseen_ids, strict=True)
    ]
    return f"{heading}{total:,}: {', '.join(parts)}"
