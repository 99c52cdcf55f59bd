"""Finding and checking predictions of other systems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zegclip.errors import InputError
from zegclip.evaluation.prediction_files import PredictionProblems, find_predictions


def save(path: Path, labels: object, dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, dtype)).save(path)
    return path


class TestFinding:
    def test_mirrored_flat_missing_and_extra(self, tmp_path: Path) -> None:
        for name in ("x/a.png", "b.PNG", "train_0.png"):
            save(tmp_path / name, [[0]])
        images = ["data/x/a.jpg", "data/x/b.jpg", "data/c.v2.jpg"]
        files = find_predictions(tmp_path, images, "data")
        assert files.found == {
            images[0]: tmp_path / "x/a.png",
            images[1]: tmp_path / "b.PNG",
        }
        assert files.missing == ["c.v2.png"] and files.extra == ["train_0.png"]

    def test_images_of_one_name_need_their_folders(self, tmp_path: Path) -> None:
        images = ["data/x/a.jpg", "data/y/a.jpg"]
        save(tmp_path / "a.png", [[0]])
        with pytest.raises(InputError, match=r"a\.png would belong to data/x/a\.jpg and to "):
            find_predictions(tmp_path, images, "data")
        for folder in ("x", "y"):
            save(tmp_path / folder / "a.png", [[0]])
        assert find_predictions(tmp_path, images, "data").extra == ["a.png"]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no folder"):
            find_predictions(tmp_path / "x", ["a.jpg"], ".")
        (tmp_path / "a.npy").touch()
        with pytest.raises(InputError, match=r"holds no PNG \(but: 1 \.npy\)"):
            find_predictions(tmp_path, ["a.jpg"], ".")


class TestReading:
    def problems(self, folder: Path) -> PredictionProblems:
        return PredictionProblems(folder, 3)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_numbers_of_8_and_16_bits(self, tmp_path: Path, dtype: type) -> None:
        path, found = save(tmp_path / "a.png", [[0, 2, 255]], dtype), self.problems(tmp_path)
        labels = found.read(path, (1, 3))
        assert labels is not None and labels.tolist() == [[0, 2, 255]]
        assert found.message() == ""

    def test_palette_and_black_and_white_are_indices(self, tmp_path: Path) -> None:
        picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="L").convert("P")
        picture.putpalette([9, 9, 9, 200, 0, 0])
        picture.putdata([0, 1])
        picture.save(tmp_path / "p.png")
        Image.new("1", (2, 1), 1).save(tmp_path / "w.png")
        found = self.problems(tmp_path)
        first, second = (found.read(tmp_path / n, (1, 2)) for n in ("p.png", "w.png"))
        assert first is not None and first.tolist() == [[0, 1]]
        assert second is not None and second.tolist() == [[1, 1]]

    def test_every_problem_is_in_one_message(self, tmp_path: Path) -> None:
        found = self.problems(tmp_path)
        found.add("missing", "m.png")
        Image.new("RGB", (2, 1)).save(tmp_path / "rgb.png")
        (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        Image.new("L", (2, 1)).save(tmp_path / "really.jpg")
        (tmp_path / "really.jpg").rename(tmp_path / "really.png")
        save(tmp_path / "wide.png", [[0, 0, 0]])
        save(tmp_path / "colour.png", [[75, 38]])
        names = ("rgb", "cut", "really", "wide", "colour")
        assert [found.read(tmp_path / f"{n}.png", (1, 2)) for n in names] == [None] * 5
        message = found.message()
        for part in (
            "1 x missing: m.png",
            "1 x several channels: rgb.png (RGB)",
            "2 x unreadable: cut.png (",
            "1 x another size than the image: wide.png (3x1, not 2x1)",
            "1 x values outside the classes: colour.png (38, 75)",
            "0..2 in the data set's class order",
            "colours turned into grey",
        ):
            assert part in message

    @pytest.mark.parametrize(
        ("values", "hint"),
        [
            ([1, 2, 3, 255], "run 1..3: shifted by one? Subtract 1 from all but 255"),
            ([0, 1, 3], "write value - 1, and 255 for 0"),
            ([0, 4], "Another class list"),
        ],
    )
    def test_hints(self, tmp_path: Path, values: list[int], hint: str) -> None:
        found = self.problems(tmp_path)
        # Over all files: one alone need not hold every value.
        for index, value in enumerate(values):
            found.read(save(tmp_path / f"{index}.png", [[value]]), (1, 1))
        assert hint in found.message()

    def test_interpolated_labels_of_another_size_do_not_spoil_the_hint(
        self, tmp_path: Path
    ) -> None:
        found = self.problems(tmp_path)
        found.read(save(tmp_path / "a.png", [[4, 0]]), (1, 1))
        assert "class order" in found.message()
        for value in (1, 3):
            found.read(save(tmp_path / f"{value}.png", [[value]]), (1, 1))
        assert "run 1..3: shifted by one?" in found.message()

    def test_a_turned_prediction_is_named_as_such(self, tmp_path: Path) -> None:
        found = self.problems(tmp_path)
        found.read(save(tmp_path / "a.png", [[0, 0]]), (2, 1))
        assert "2x1, not 1x2, turned by EXIF?" in found.message()
