"""A segmentation data set with a seen / unseen split by class name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from zegclip.errors import InputError, did_you_mean
from zegclip.files import find_path
from zegclip.vocabulary import IGNORE_INDEX, Vocabulary

from .files import find_files, first_few, names_in, read_names
from .sampler import Draw

_OF_METAINFO = frozenset(
    ("classes", "palette", "unseen", "synonyms", "setting", "dataset_name", "ignore_rule")
)
# What label 0 is called in the class lists of labelling programs, without signs: _background_.
_NO_CLASS = frozenset(("background", "bg", "void", "unlabeled", "unlabelled", "ignore", "ignored"))


@DATASETS.register_module()
class ZeroShotDataset(BaseSegDataset):
    """mmseg's data set of images and masks, with the split in its ``metainfo``.

    ``metainfo`` carries ``classes``, ``palette``, ``unseen``, ``synonyms``, ``setting``,
    ``dataset_name`` and ``ignore_rule``; model, transforms, metric and report read them there.
    Every image and mask must be there when it is built. Labels are 8-bit ids, 255 = ignored: at
    most 255 classes where there are masks.

    A subclass gives ``METAINFO``, ``DEFAULTS`` for arguments and ``PREPARE``, the command that
    brings the data.

    Args:
        unseen: names of the unseen classes; default: ``METAINFO``'s.
        setting: ``inductive`` (default), ``transductive``, ``supervised`` or ``cross_dataset``.
        synonyms: words for the prompt templates by class, instead of ``METAINFO``'s.
        ann_file: list of image names without suffix, or several, of which each name is used once.
            Empty: every image of the folder.
        img_suffix: of the images' names, or several; the first hit is taken.
        metainfo: replaces entries of ``METAINFO``; ``classes`` may be a file, a name a line.
        data_root: folder of everything else; relative to the current folder or the project.
        data_prefix: ``img_path`` and ``seg_map_path`` in ``data_root``; without
            ``seg_map_path`` there are no labels.
        **kwargs: mmseg's; and ``held_out_file``, a list of images that are left out, with a
            warning, so that no validation image is trained on (SBD's own train.txt holds many of
            VOC's). They stay in ``test_mode``, and where ``ann_file`` names this very list
            (before a training, which then trains on them, that is said).

    Raises:
        InputError: the split does not fit the classes, something is not there, or there are more
            classes than 8-bit masks can hold.

    Example:
        >>> folders = dict(img_path="images/train", seg_map_path="masks/train")
        >>> classes = dict(classes=["cat", "dog", "grass"])
        >>> ZeroShotDataset(  # doctest: +SKIP
        ...     data_root="data/custom", data_prefix=folders, metainfo=classes, unseen=["dog"]
        ... )
    """

    DEFAULTS: dict[str, Any] = {}
    PREPARE: str = ""

    def __init__(
        self,
        unseen: Sequence[str] | None = None,
        setting: str | None = None,
        synonyms: Mapping[str, Sequence[str]] | None = None,
        ann_file: str | Sequence[str] = "",
        img_suffix: str | Sequence[str] = ".jpg",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | None = None,
        data_prefix: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = self.DEFAULTS | kwargs
        root = "" if data_root is None else str(find_path(data_root))
        self.lists = [os.path.join(root, path) for path in _listed(ann_file) if path]
        self.held_out_file = os.path.join(root, kwargs.pop("held_out_file", None) or "")
        suffixes = _listed(img_suffix)
        # Cameras write .JPG, and some programs .Jpg.
        spellings = [*suffixes, *map(str.upper, suffixes), *map(str.title, suffixes)]
        self.img_suffixes = list(dict.fromkeys(spellings))
        ignored = "0 and 255" if kwargs.get("reduce_zero_label") else "255"
        super().__init__(
            img_suffix=self.img_suffixes[0],
            metainfo={"ignore_rule": f"labels {ignored} ignored"}
            | self._with_split(metainfo, unseen, setting, synonyms),
            data_root=root or None,
            data_prefix=_without_none(data_prefix or {"img_path": "", "seg_map_path": ""}),
            **kwargs,
        )

    # --- asked before it is built -----------------------------------------------------------

    @classmethod
    def vocabulary_of(cls, config: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that a config's data set would have, without looking for its files."""
        words = {key: config.get(key) for key in ("metainfo", "unseen", "synonyms")}
        metainfo = cls._with_split(setting=config.get("setting"), **words)
        return Vocabulary.from_metainfo(metainfo | {"palette": None})

    @classmethod
    def missing(cls, config: Mapping[str, Any]) -> list[str]:
        """The folders and lists that a config's data set names and that do not exist."""
        root = find_path(config.get("data_root") or ".")
        if not root.is_dir():
            return [str(root)]
        folders = _without_none(config.get("data_prefix") or {})
        if unknown := folders.keys() - {"img_path", "seg_map_path"}:
            raise InputError(
                f"{cls.__name__}: data_prefix has img_path and seg_map_path, no {min(unknown)!r}"
            )
        masks = folders.pop("seg_map_path", None)
        parts = [*_listed(config.get("ann_file") or ()), *folders.values()]
        if masks is not None and not any((root / f).exists() for f in cls.mask_folders_of(masks)):
            parts.append(masks)
        return [str(root / part) for part in parts if not (root / part).exists()]

    @classmethod
    def named_held_out_list(cls, config: Mapping[str, Any]) -> str | None:
        """The held-out list, where a config's ``ann_file`` names this very one, else ``None``."""
        held_out = (cls.DEFAULTS | dict(config)).get("held_out_file")
        root = find_path(config.get("data_root") or ".")
        lists = {(root / path).resolve() for path in _listed(config.get("ann_file") or ())}
        return held_out if held_out and (root / held_out).resolve() in lists else None

    @classmethod
    def how_to_get(cls) -> str:
        """What to do about missing files, for messages."""
        prepare = f"`{cls.PREPARE}` prepares the data (docs/data.md). " if cls.PREPARE else ""
        return f"{prepare}If it is elsewhere, set data_root"

    # --- metainfo ---------------------------------------------------------------------------

    @classmethod
    def _with_split(
        cls,
        metainfo: Mapping[str, Any] | None,
        unseen: Sequence[str] | None,
        setting: str | None,
        synonyms: Mapping[str, Sequence[str]] | None,
    ) -> dict[str, Any]:
        """``METAINFO`` with what was given, and a checked split."""
        words = {"unseen": unseen, "synonyms": synonyms, "setting": setting}
        given = {"setting": "inductive"} | dict(metainfo or {})
        given |= {key: value for key, value in words.items() if value is not None}
        setting = given["setting"]
        for name in given.keys() - _OF_METAINFO:  # (there may be more, for a class of one's own)
            if hint := did_you_mean(name, _OF_METAINFO):
                raise InputError(f"{cls.__name__}: metainfo has an entry {name!r}{hint}")
        merged = {"dataset_name": cls.__name__} | cls.METAINFO | given
        if isinstance(merged.get("classes"), str):
            merged["classes"] = read_names(find_path(merged["classes"]))
        # METAINFO's split and synonyms are reduced to the selected classes; what the caller gave
        # must fit exactly.
        classes = merged.get("classes") or ()
        if "unseen" not in given:
            known = () if setting == "cross_dataset" else merged.get("unseen", ())
            merged["unseen"] = [name for name in known if name in classes]
        elif not merged["unseen"] and setting in ("inductive", "transductive"):
            raise InputError(
                f"{cls.__name__}: unseen is empty, but the {setting} setting needs an unseen "
                "class; to train on all classes write setting='supervised'"
            )
        if "synonyms" not in given:
            words = merged.get("synonyms", {})
            merged["synonyms"] = {name: words[name] for name in words if name in classes}
        # (mmseg has its own way with palettes, for selections of the classes too.)
        vocabulary = Vocabulary.from_metainfo(merged | {"palette": None})
        own = cls.METAINFO.get("classes") or vocabulary.classes
        if unknown := [name for name in vocabulary.classes if name not in own]:
            raise InputError(
                f"{cls.__name__} has no class {unknown[0]!r}{did_you_mean(unknown[0], own)}: "
                "metainfo.classes selects some by name; for other words keep the name, and set "
                "synonyms={name: [words]}"
            )
        synonyms = dict(vocabulary.synonyms)
        return merged | dict(
            classes=vocabulary.classes, unseen=vocabulary.unseen, synonyms=synonyms
        )

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As it is: mmengine would take every string for the name of a file."""
        return dict(metainfo or {})

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """A sample; in training its augmentation is seeded by its position in the order."""
        if isinstance(idx, Draw):
            idx.seed_augmentation()
        return super().__getitem__(idx)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A sample's files, and what the transforms need to know of the vocabulary."""
        info, meta = super().get_data_info(idx), self._metainfo
        info["num_classes"] = self._classes_in_file()
        info["setting"] = meta["setting"]
        info["unseen_label_ids"] = [meta["classes"].index(name) for name in meta["unseen"]]
        return info

    def _classes_in_file(self) -> int:
        return len(self.METAINFO.get("classes", self._metainfo["classes"]))

    # --- files ------------------------------------------------------------------------------

    @classmethod
    def mask_folders_of(cls, folder: str) -> list[str]:
        """Where masks are looked for if ``data_prefix`` says ``folder``; the first hit is taken."""
        return [folder]

    def mask_folders(self) -> list[str]:
        """Folders to look for an image's mask in; empty: no labels."""
        folder = self.data_prefix.get("seg_map_path")
        return [] if folder is None else self.mask_folders_of(folder or self.data_root or ".")

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry per image; see the class for what is checked."""
        mask_dirs = self.mask_folders()
        most = IGNORE_INDEX - bool(self.reduce_zero_label)  # (0 takes one more value)
        if mask_dirs and self._classes_in_file() > most:
            self._refuse(
                f"{self._classes_in_file()} classes, but a mask's 8-bit labels, of which "
                f"{IGNORE_INDEX} is ignored, can hold {most} (without masks, that is without "
                "data_prefix.seg_map_path, there may be any number)"
            )
        first = self._metainfo["classes"][0]
        if self.reduce_zero_label and re.sub(r"[\W_]+", "", first.lower()) in _NO_CLASS:
            self._refuse(
                f"label 0 is ignored (reduce_zero_label), and {first!r} would be the name of label "
                "1, and so on: leave it out of the classes, or set reduce_zero_label=False; "
                f"where label 1 is {first!r} indeed, name it otherwise, such as 'the {first}'"
            )
        named = {"data_prefix": self.data_prefix, "ann_file": self.lists}
        if missing := self.missing({"data_root": self.data_root}) or self.missing(named):
            self._refuse(f"there is no {', '.join(missing)}. {self.how_to_get()}")
        image_dir = self.data_prefix.get("img_path") or self.data_root or "."
        names = self._names(image_dir)
        files = {"img_path": self._found(names, [image_dir], self.img_suffixes, "are not in")}
        if mask_dirs:
            suffixes = [self.seg_map_suffix]
            files["seg_map_path"] = self._found(names, mask_dirs, suffixes, "have no mask in")
        common = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        paths = zip(*files.values(), strict=True)
        return [{**dict(zip(files, each)), **common, "seg_fields": []} for each in paths]

    def _names(self, image_dir: str) -> list[str]:
        """Names of the images: those of the lists, or the folder's, without the held-out ones."""
        source = ", ".join(self.lists) or image_dir
        listed = [name for path in self.lists for name in read_names(path)]
        names = (
            list(dict.fromkeys(listed)) if self.lists else names_in(image_dir, self.img_suffixes)
        )
        if not names:
            self._refuse(f"no image is named in {source}")
        if not self.lists:
            self._say_masks_without_image(set(names), image_dir)
        # (Without that list there is no validation set to protect.)
        if self.test_mode or not os.path.isfile(self.held_out_file):
            return names
        if any(os.path.samefile(self.held_out_file, path) for path in self.lists):
            return names
        held_out = set(read_names(self.held_out_file))
        if dropped := [name for name in names if name in held_out]:
            text = (
                f"{len(dropped)} of the {len(names)} images of {source} are left out, because "
                f"{self.held_out_file} names them too: {first_few(dropped)}. (Where they are "
                "validated or tested on, set held_out_file=None)"
            )
            if len(dropped) == len(names):
                self._refuse(text)
            self._warn(text)
        return [name for name in names if name not in held_out]

    def _say_masks_without_image(self, names: set[str], image_dir: str) -> None:
        """Warn of images that are not there, or have another suffix, and would not be missed."""
        for folder in filter(os.path.isdir, self.mask_folders()):
            if alone := [n for n in names_in(folder, [self.seg_map_suffix]) if n not in names]:
                suffixes = ", ".join(dict.fromkeys(map(str.lower, self.img_suffixes)))
                self._warn(
                    f"{len(alone)} masks in {folder} have no image in {image_dir} (img_suffix: "
                    f"{suffixes}), and are not used: {first_few(alone)}"
                )

    def _found(
        self, names: Sequence[str], folders: list[str], suffixes: list[str], problem: str
    ) -> list[str | None]:
        files = find_files(names, folders, suffixes)
        lacking = [n + suffixes[0] for n, file in zip(names, files, strict=True) if file is None]
        if lacking:
            source = f" named by {', '.join(self.lists)}" * bool(self.lists)
            twice = any(name.endswith(tuple(self.img_suffixes)) for name in names)
            hint = "Lists name images without suffix. " * twice
            self._refuse(
                f"{len(lacking)} of {len(names)} images{source} {problem} {' or '.join(folders)}: "
                f"{first_few(lacking)}. {hint}{self.how_to_get()}"
            )
        return files

    def _warn(self, text: str) -> None:
        print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)

    def _refuse(self, problem: str) -> None:
        raise InputError(f"{type(self).__name__}: {problem}")


def _listed(values: str | Sequence[str]) -> list[str]:
    return [values] if isinstance(values, str) else [*values]


def _without_none(prefix: Mapping[str, str | None]) -> dict[str, str]:
    """Folders; what is ``None`` is not there: ``data_prefix.seg_map_path=None``."""
    return {key: folder for key, folder in prefix.items() if folder is not None}
