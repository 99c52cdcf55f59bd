"""Class names and the seen / unseen split: the one place where they are checked and combined."""

from __future__ import annotations

import colorsys
import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from zegclip.errors import InputError

# Label value of pixels that belong to no class: they are not scored, and never a target class.
IGNORE_INDEX = 255
SETTINGS = ("inductive", "transductive", "supervised", "cross_dataset")


@dataclass(frozen=True)
class Vocabulary:
    """What a model may say, and which of it training may know.

    Comes from a data set's ``metainfo`` (:meth:`from_metainfo`). Lists become tuples; ``unseen`` is
    put into label order, so that equal splits are equal vocabularies.

    Args:
        classes: all class names in label order: label id ``i`` is ``classes[i]``.
        unseen: the classes that training must not see the labels of.
        synonyms: for a class, the words put into the templates instead of its name (the mean of
            their embeddings is taken). A class that is not here is its own word.
        setting: ``inductive`` (unseen classes unknown while training), ``transductive`` (their
            names known, maybe where they are, but no labels), ``supervised`` (all labels known) or
            ``cross_dataset`` (the model was trained on another data set; for testing only, and
            nothing is called seen or unseen).
        palette: an RGB colour per class, 0..255.

    Raises:
        InputError: a name is blank, given twice or of no class; or the split does not fit.

    Example:
        >>> Vocabulary(classes=("cat", "dog"), unseen=("dog",)).train_ids
        (0,)
    """

    classes: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    # (A dict has no hash; equality looks at it all the same.)
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    setting: str = "inductive"
    palette: tuple[tuple[int, int, int], ...] | None = None

    def __post_init__(self) -> None:
        classes = _names(self.classes, "classes")
        if not classes:
            raise InputError("classes is empty: a vocabulary needs at least one class name")
        unseen = _names(self.unseen, "unseen")
        check_known(unseen, classes, "unseen")
        if self.setting not in SETTINGS:
            raise InputError(f"setting={self.setting!r} is none of {', '.join(SETTINGS)}")
        if self.setting == "inductive" and len(unseen) == len(classes):
            raise InputError(
                f"all {len(classes)} classes are unseen: nothing is left to train on in the "
                "inductive setting (to judge a model on these alone: setting='cross_dataset')"
            )
        if self.setting == "cross_dataset" and unseen:
            raise InputError(
                f"unseen={list(unseen)}: the cross_dataset setting tells no class apart, because "
                "the model was trained on another data set; leave unseen out"
            )
        check_known(self.synonyms, classes, "synonyms")
        synonyms = {
            name: _names(words, f"synonyms[{name!r}]") for name, words in self.synonyms.items()
        }
        for name, words in synonyms.items():
            if not words:
                raise InputError(
                    f"synonyms[{name!r}] is empty: leave the class out to use its name"
                )
        owners: dict[tuple[str, ...], str] = {}
        for name in classes:
            words = tuple(sorted(map(name_key, synonyms.get(name, (name,)))))
            if (other := owners.setdefault(words, name)) != name:
                raise InputError(f"{other} and {name} have the same words, the same class for CLIP")
        palette = self.palette
        if palette is not None:
            palette = tuple((int(r), int(g), int(b)) for r, g, b in palette)
            if len(palette) != len(classes):
                raise InputError(f"palette has {len(palette)} colours for {len(classes)} classes")
        ordered = tuple(name for name in classes if name in set(unseen))
        for key, value in (("classes", classes), ("unseen", ordered), ("synonyms", synonyms)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "palette", palette)

    @classmethod
    def from_metainfo(cls, metainfo: Mapping[str, Any]) -> Vocabulary:
        """Build from a data set's metainfo: ``classes``, and of the other arguments what is there.

        Raises:
            InputError: there are no ``classes``, or what the class itself raises.
        """
        if metainfo.get("classes") is None:
            raise InputError("the metainfo has no 'classes': the class names in label order")
        keys = ("classes", "unseen", "synonyms", "setting", "palette")
        return cls(**{key: metainfo[key] for key in keys if metainfo.get(key) is not None})

    @property
    def seen(self) -> tuple[str, ...]:
        """Classes that are not unseen, in label order."""
        return tuple(self.classes[index] for index in self.seen_ids)

    @cached_property
    def seen_ids(self) -> tuple[int, ...]:
        """Label ids of the seen classes, ascending."""
        unseen = set(self.unseen)
        return tuple(i for i, name in enumerate(self.classes) if name not in unseen)

    @cached_property
    def unseen_ids(self) -> tuple[int, ...]:
        """Label ids of the unseen classes, ascending."""
        unseen = set(self.unseen)
        return tuple(i for i, name in enumerate(self.classes) if name in unseen)

    @property
    def is_calibrated(self) -> bool:
        """Whether predictions are: inductively trained models favour seen over unseen classes."""
        return self.setting == "inductive" and bool(self.unseen)

    @property
    def train_ids(self) -> tuple[int, ...]:
        """Label ids of the classes that are queries in training: the seen, or all but inductive."""
        return self.seen_ids if self.setting == "inductive" else tuple(range(len(self.classes)))

    @cached_property
    def training(self) -> Vocabulary:
        """The classes of :attr:`train_ids` by themselves."""
        names = tuple(self.classes[index] for index in self.train_ids)
        synonyms = {name: self.synonyms[name] for name in names if name in self.synonyms}
        return Vocabulary(names, synonyms=synonyms, setting="supervised")

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """For each class, the words that go into the prompt templates."""
        return tuple(self.synonyms.get(name, (name,)) for name in self.classes)

    @property
    def by_word(self) -> Vocabulary:
        """Every word by itself, as a class; of those that are one to CLIP, the first."""
        words: dict[str, str] = {}
        for word in (word for synonyms in self.words for word in synonyms):
            words.setdefault(name_key(word), word)
        return Vocabulary(tuple(words.values()), setting="cross_dataset")

    def with_words(self, words: Sequence[str]) -> Vocabulary:
        """The classes, and further words after them, each by itself."""
        classes = (*self.classes, *words)
        return Vocabulary(classes, synonyms=self.synonyms, setting="cross_dataset")


# The class that :class:`Background` is, where there is one of this name.
BACKGROUND = "background"


def background_id(classes: Sequence[str]) -> int | None:
    """Label id of the class called ``background``, in any case; ``None``: there is none."""
    return next((i for i, name in enumerate(classes) if name_key(name) == BACKGROUND), None)


@dataclass(frozen=True)
class Background:
    """Which pixels belong to no class, so that not every pixel must be given one.

    Attributes:
        threshold: pixels at which no class has this probability (before the calibration) are.
        words: asked for beside the classes, each by itself; pixels at which one of them is more
            probable than every class are. (A word that a class has is left out.)

    Example:
        >>> Background(threshold=0.5, words=("sky", "wall"))
        Background(threshold=0.5, words=('sky', 'wall'))
    """

    threshold: float | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", _names(self.words, "background words"))
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"the background's threshold {self.threshold} is not between 0 and 1")

    def words_beside(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """The words that are neither a class's name nor one of its words."""
        every = (vocabulary.classes, *vocabulary.words)
        own = {name_key(word) for words in every for word in words}
        return tuple(word for word in self.words if name_key(word) not in own)


def _names(names: Sequence[str], what: str) -> tuple[str, ...]:
    """The names as a tuple; refuses a lone string, blanks and duplicates."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError(f"{what}={names!r} must be a list of names, such as [{names!r}]")
    names = tuple(names)
    for name in names:
        # (A byte-order mark, which is invisible, is left of a file from Windows.)
        if not isinstance(name, str) or not name.strip() or "\ufeff" in name:
            raise InputError(f"{what} holds {name!r}, which is not a name")
    counts = Counter(map(name_key, names))
    if duplicates := [name for name in names if counts[name_key(name)] > 1]:
        raise InputError(f"{what} names twice (CLIP reads no case): {', '.join(duplicates)}")
    return names


def name_key(name: str) -> str:
    """Equal for names that CLIP's tokenizer does not tell apart: case and spaces do not count."""
    return " ".join(name.lower().split())


def check_known(names: Iterable[str], classes: Sequence[str], what: str) -> None:
    """Refuse names (``what`` they are for) that are not in ``classes``.

    Raises:
        InputError: names them, and the classes that may have been meant.
    """
    unknown = [name for name in names if name not in classes]
    if not unknown:
        return
    lower = {name.lower(): name for name in classes}
    culprits = []
    for name in unknown:
        close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
        culprits.append(f"{name!r}" + (f" (did you mean {lower[close[0]]!r}?)" if close else ""))
    listed = ", ".join(classes[:30]) + (f", … ({len(classes)} in all)" if len(classes) > 30 else "")
    raise InputError(f"{what} names no class: {', '.join(culprits)}; the classes are {listed}")


def make_palette(count: int) -> list[tuple[int, int, int]]:
    """``count`` different RGB colours, 0..255; the golden ratio keeps any number of hues apart."""
    levels = ((0.75, 0.95), (0.95, 0.65), (0.45, 0.85))  # saturation and brightness
    colours = []
    for index in range(count):
        hue = (0.02 + index * 0.61803398875) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, *levels[index % len(levels)])
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours
