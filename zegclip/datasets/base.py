"""A segmentation data set with a seen / unseen split by class name."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.fileio import list_dir_or_file
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from zegclip.errors import InputError
from zegclip.files import find_path
from zegclip.vocabulary import Vocabulary

from .files import FolderListing, first_few, read_names


@DATASETS.register_module()
class ZeroShotDataset(BaseSegDataset):
    """mmseg's data set of images and masks, with the split in its ``metainfo``.

    ``metainfo`` carries ``classes``, ``palette``, ``unseen``, ``synonyms``, ``setting``,
    ``dataset_name`` and ``ignore_rule``; model, transforms, metric and report read them there, so
    that a new split is ``dict(dataset=dict(unseen=[...]))`` in a config. Subclasses give defaults
    in ``METAINFO``.

    Images, masks and lists are checked when it is built, by listing each folder once.

    Args:
        unseen: names of the unseen classes; default: ``METAINFO``'s.
        setting: ``inductive``, ``transductive``, ``supervised`` or ``cross_dataset``.
        synonyms: words for the prompt templates by class, instead of ``METAINFO``'s.
        ann_file: list of image names without suffix, or several lists, which are joined; a name
            that occurs twice is used once. Empty: every image of the folder.
        held_out_file: list of images that every other list leaves out (with a warning), so that
            no validation image is trained on. Lists from other people mix them: SBD's own
            train.txt holds many of VOC's validation images. They are left out rather than
            refused, because what remains is the right training set and the lists need not be
            edited; it is said because the count differs from the list's. A data set whose
            ``ann_file`` names this very list, or in ``test_mode``, keeps them.
        img_suffix: of the images' names, or several; a name's first hit is taken.
        metainfo: replaces entries of ``METAINFO``.
        data_root: folder of everything else; relative to the current folder or the project.
        data_prefix: ``img_path`` and ``seg_map_path`` in ``data_root``; without
            ``seg_map_path`` there are no labels.
        **kwargs: mmseg's.

    Raises:
        InputError: the split does not fit the classes.
        InputError: something is not there.
    """

    ann_file: Any  # a list of paths, where mmseg has one path
    # What `data_root` must hold, for messages.
    LAYOUT = "the images and masks that data_prefix names, and the lists that ann_file names"

    def __init__(
        self,
        unseen: Sequence[str] | None = None,
        setting: str = "inductive",
        synonyms: Mapping[str, Sequence[str]] | None = None,
        ann_file: str | Sequence[str] = "",
        held_out_file: str | None = None,
        img_suffix: str | Sequence[str] = ".jpg",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | None = None,
        data_prefix: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.held_out_file = held_out_file
        metainfo = dict(metainfo or {})
        if "ignore_rule" not in self.METAINFO:
            zero = "0 and 255" if kwargs.get("reduce_zero_label") else "255"
            metainfo.setdefault("ignore_rule", f"labels {zero} ignored")
        suffixes = (img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix)
        # Cameras write .JPG.
        self._img_suffixes = tuple(dict.fromkeys([*suffixes, *(s.upper() for s in suffixes)]))
        super().__init__(
            img_suffix=self._img_suffixes[0],
            ann_file=ann_file if isinstance(ann_file, str) else list(ann_file),
            metainfo=self._with_split(metainfo, unseen, setting, synonyms),
            data_root=None if data_root is None else str(find_path(data_root)),
            data_prefix=dict(data_prefix or {"img_path": "", "seg_map_path": ""}),
            **kwargs,
        )

    PREPARE = ""

    @classmethod
    def missing(cls, config: Mapping[str, Any]) -> list[str]:
        return []

    # --- metainfo ---------------------------------------------------------------------------

    @classmethod
    def vocabulary_of(cls, config: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that a config's data set would have, without looking for its files.

        Args:
            config: of a data set of this class.

        Raises:
            InputError: the split does not fit the classes.
        """
        words = ("metainfo", "unseen", "setting", "synonyms")
        given = {"setting": "inductive"} | {key: config[key] for key in words if key in config}
        metainfo = cls._with_split(**{key: given.get(key) for key in words})  # type: ignore[arg-type]
        return Vocabulary.from_metainfo({k: v for k, v in metainfo.items() if k != "palette"})

    @classmethod
    def _with_split(
        cls,
        metainfo: Mapping[str, Any] | None,
        unseen: Sequence[str] | None,
        setting: str,
        synonyms: Mapping[str, Sequence[str]] | None,
    ) -> dict[str, Any]:
        """The metainfo with a checked split; the constructor's words win over its own."""
        given = dict(metainfo or {})
        given |= {} if unseen is None else {"unseen": unseen}
        given |= {} if synonyms is None else {"synonyms": synonyms}
        given["setting"] = setting
        merged = cls._load_metainfo(given)
        # Defaults for all classes of METAINFO also serve a selection of them; what was given for
        # this data set must fit as it is.
        classes = merged.get("classes") or ()
        if "unseen" not in given and setting == "cross_dataset":
            merged["unseen"] = []
        elif "unseen" not in given:
            merged["unseen"] = [name for name in merged.get("unseen", ()) if name in classes]
        elif not merged["unseen"] and setting in ("inductive", "transductive"):
            raise InputError(
                f"{cls.__name__}: unseen is empty, but the {setting} setting needs at least one "
                "unseen class; to train on all classes write setting='supervised'"
            )
        if "synonyms" not in given:
            defaults = merged.get("synonyms", {})
            merged["synonyms"] = {name: defaults[name] for name in defaults if name in classes}
        # mmseg has its own way with palettes, for selections of the classes too.
        without_palette = {key: value for key, value in merged.items() if key != "palette"}
        try:
            vocabulary = Vocabulary.from_metainfo(without_palette)
        except InputError as error:
            raise InputError(f"{cls.__name__}: {error}") from error
        merged.setdefault("dataset_name", cls.__name__)
        return merged | {
            "classes": vocabulary.classes,
            "unseen": vocabulary.unseen,
            "synonyms": dict(vocabulary.synonyms),
        }

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As mmengine's, but only ``classes`` may be the name of a file.

        mmengine tries to open every string as a file of names, ``setting`` and ``dataset_name``
        too.
        """
        texts = {
            key: value
            for key, value in (metainfo or {}).items()
            if isinstance(value, str) and key != "classes"
        }
        given = {key: value for key, value in (metainfo or {}).items() if key not in texts}
        if isinstance(given.get("classes"), str):
            given["classes"] = read_names(
                find_path(given["classes"]), f"{cls.__name__}: metainfo['classes']"
            )
        return super()._load_metainfo(given) | texts

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A sample's files, and what the transforms need to know of the vocabulary."""
        info = super().get_data_info(idx)
        info["num_classes"] = len(self.METAINFO.get("classes", self._metainfo["classes"]))
        info["setting"] = self._metainfo["setting"]
        unseen, classes = self._metainfo["unseen"], self._metainfo["classes"]
        info["unseen_label_ids"] = [classes.index(name) for name in unseen]
        return info

    # --- files ------------------------------------------------------------------------------

    def _join_prefix(self) -> None:
        """As mmengine's, for several lists."""
        lists, self.ann_file = self.ann_file, ""
        super()._join_prefix()
        if isinstance(lists, str):
            self.ann_file = self._in_root(lists) if lists else ""
        else:
            self.ann_file = [self._in_root(path) for path in lists]

    def _in_root(self, path: str) -> str:
        return os.path.join(self.data_root or "", path)  # an absolute path stays

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry per image; see the class for what is checked.

        Raises:
            InputError: see the class.
        """
        img_dir = self.data_prefix.get("img_path") or self.data_root or "."
        mask_dirs = self.mask_folders()
        for folder in dict.fromkeys([self.data_root or ".", img_dir, *mask_dirs[:1]]):
            if not os.path.isdir(folder):
                raise InputError(self._where(f"there is no folder {folder}"))
        names = self._names(img_dir)
        listing = FolderListing()
        images = [
            next(
                (file for s in self._img_suffixes if (file := listing.find([img_dir], name + s))),
                None,
            )
            for name in names
        ]
        self._require(names, images, "image", img_dir)
        masks = [listing.find(mask_dirs, name + self.seg_map_suffix) for name in names]
        if mask_dirs:
            self._require(names, masks, "mask", " or ".join(mask_dirs))
        common = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        return [
            {"img_path": image, **({"seg_map_path": mask} if mask_dirs else {})}
            | common
            | {"seg_fields": []}
            for image, mask in zip(images, masks, strict=True)
        ]

    def mask_folders(self) -> list[str]:
        """Folders to look for an image's mask in, the first hit is taken; empty: no labels."""
        folder = self.data_prefix.get("seg_map_path")
        return [] if folder is None else [folder or self.data_root or "."]

    def _names(self, img_dir: str) -> list[str]:
        """Names of the images: those of the lists, without the held-out ones, or the folder's."""
        if not self.ann_file:
            suffixes = self._img_suffixes
            files = list_dir_or_file(img_dir, list_dir=False, suffix=suffixes, recursive=True)
            longest = sorted(suffixes, key=len, reverse=True)
            names = sorted(
                {file.removesuffix(next(s for s in longest if file.endswith(s))) for file in files}
            )
            if not names:
                kinds = " or ".join(f"*{suffix}" for suffix in suffixes)
                raise InputError(self._where(f"{img_dir} holds no {kinds} image"))
            return names
        lists = [self.ann_file] if isinstance(self.ann_file, str) else self.ann_file
        names = list(dict.fromkeys(name for path in lists for name in self._read_list(path)))
        if not names:
            raise InputError(self._where(f"no image is named in {', '.join(lists)}"))
        return self._without_held_out(names, lists)

    def _without_held_out(self, names: list[str], lists: Sequence[str]) -> list[str]:
        held_out_file = self._in_root(self.held_out_file) if self.held_out_file else ""
        # A tree without the list has no validation set that could be spoilt.
        if not os.path.isfile(held_out_file) or self.test_mode:
            return names
        if any(os.path.samefile(held_out_file, path) for path in lists):
            return names
        held_out = set(self._read_list(held_out_file))
        kept = [name for name in names if name not in held_out]
        if len(kept) == len(names):
            return names
        dropped = [name for name in names if name in held_out]
        listed = ", ".join(lists)
        if not kept:
            raise InputError(
                f"{type(self).__name__}: every image of {listed} is in {held_out_file}, which is "
                "held out from training; set held_out_file=None on this data set to use them "
                "nevertheless (a subset for validation, say)"
            )
        print_log(
            f"{type(self).__name__}: {len(dropped)} of the {len(names)} images of {listed} are "
            f"left out, because {held_out_file} names them too: {first_few(dropped)}",
            logger="current",
            level=logging.WARNING,
        )
        return kept

    def _read_list(self, path: str) -> list[str]:
        if not os.path.isfile(path):
            raise InputError(self._where(f"there is no list {path}"))
        return read_names(path, type(self).__name__)

    def _require(
        self, names: Sequence[str], files: Sequence[str | None], what: str, folder: str
    ) -> None:
        missing = [name for name, file in zip(names, files, strict=True) if file is None]
        if not missing:
            return
        lists = [self.ann_file] if isinstance(self.ann_file, str) else self.ann_file
        images = self.data_prefix.get("img_path") or self.data_root
        source = f"named by {', '.join(lists)}" if self.ann_file else f"in {images}"
        suffix = self.img_suffix if what == "image" else self.seg_map_suffix
        if what == "image":
            problem = f"{len(missing)} of {len(names)} images {source} are not in {folder}"
        else:
            problem = f"{len(missing)} of {len(names)} images {source} have no mask in {folder}"
        listed = first_few([name + suffix for name in missing])
        raise InputError(self._where(f"{problem}: {listed}"))

    def _where(self, problem: str) -> str:
        root = self.data_root or "."
        return (
            f"{type(self).__name__}: {problem}. data_root {root} must hold {self.LAYOUT}. "
            "`python tools/check_env.py` shows how to get it; if it is elsewhere, set data_root."
        )
