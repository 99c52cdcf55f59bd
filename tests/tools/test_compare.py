"""tools/compare.py: what is run, in which order, and what is written; runs are stood in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import compare
import pytest
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.comparison_rows import ROWS, baselines
from support.comparison_runs import RATE, RATES
from support.runs import Run

from tests.tools.fake_runs import FakeRuns
from zegclip.errors import InputError
from zegclip.evaluation import training_fingerprint
from zegclip.files import PROJECT_ROOT


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    return FakeRuns(monkeypatch)


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    compare.main([*arguments, "--iterations", "8", "--work-dir", str(folder)])
    return json.loads((folder / "8_iterations" / "results.json").read_text())


def done(fake: FakeRuns) -> list[str]:
    """The folders of what was begun, from the row on."""
    return [each[-1].partition("8_iterations/")[2] for each in fake.commands]


def options(command: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in command if "=" in word)


def test_rates_are_searched_alike_on_scenes_and_a_seed_of_their_own(
    fake: FakeRuns, tmp_path: Path
) -> None:
    results = run(tmp_path, "--groups", "main", "long", "--seeds", "1")
    assert set(results["rates"].values()) == {2e-3}  # mIoU(S), not hIoU
    free = results["rows"].get("training_free")  # tested once, and held against each seed
    assert free is None or [each["seed"] for each in free["runs"]] == [None]
    searched = [each for each in fake.commands if "/search/" in each[-1]]
    assert fake.commands[: len(searched)] == searched and len(searched) == 3 * len(RATES)
    for command in fake.commands:
        of_search, trained = command in searched, options(command)
        if "training_free" in command[1]:
            continue
        assert (trained.get("val_dataloader.dataset.split") == "selection") is of_search
        assert (trained["--seed"] == "1000") is of_search
        if not of_search:
            assert trained[RATE] == "0.002"  # also of the long schedule
            assert trained["train_cfg.max_iters"] == ("32" if "long" in command[-1] else "8")


def test_what_matters_comes_first_and_what_is_done_is_done_once(
    fake: FakeRuns, tmp_path: Path
) -> None:
    arguments = ["--methods", "tagclip", "--groups", "ablations", "settings", "--seeds", "2"]
    results = run(tmp_path, *arguments)
    after = done(fake)[len(RATES) :]
    assert after[:2] == ["tagclip/seed_0", "tagclip/seed_1"]  # which the others start from
    rows = list(results["rows"])
    assert after[2:] == [
        f"{name}/seed_{seed}"
        for group in ("ablations", "settings")
        for seed in (0, 1)
        for name in rows
        if ROWS[name].group == group
    ]
    assert [n for n, row in results["rows"].items() if row["leaks"]] == ["tagclip_unseen_gt"]
    assert [each["seed"] for each in results["rows"]["tagclip"]["runs"]] == [0, 1]
    assert results["rows"]["tagclip_supervised"]["runs"][1]["device"] == "a GPU"

    count = len(fake.commands)
    moved = tmp_path / "moved"  # with what other groups have finished
    moved.mkdir()
    (tmp_path / "8_iterations").rename(moved / "8_iterations")
    again = run(moved, "--groups", "settings", *arguments[:2], "--seeds", "2")
    assert again["rows"] == results["rows"] and len(fake.commands) == count


def test_what_is_there_is_told_whatever_is_asked_for(fake: FakeRuns, tmp_path: Path) -> None:
    run(tmp_path, "--methods", "ldvc", "--groups", "main", "--seeds", "3")
    begun = len(fake.commands)
    results = run(tmp_path, "--methods", "ldvc", "--groups", "main", "--seeds", "1")
    assert [each["seed"] for each in results["rows"]["ldvc"]["runs"]] == [0, 1, 2]
    assert len(fake.commands) == begun


def test_a_record_without_a_method_is_refused(
    fake: FakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "record", lambda *_: pytest.fail("recorded"))
    arguments = ["--methods", "ldvc", "--groups", "main", "--seeds", "1"]
    with pytest.raises(InputError, match="search of zegclip, tagclip is not finished"):
        compare.main([*arguments, "--work-dir", str(tmp_path), "--record"])
    with pytest.raises(SystemExit):
        compare.main([*arguments, "--work-dir", str(tmp_path), "--record", "--iterations", "8"])


def test_starts(fake: FakeRuns, tmp_path: Path) -> None:
    """From the main row of the same seed: half of the schedule, or the last checkpoint."""
    run(tmp_path, "--methods", "tagclip", "--groups", "settings", "ablations", "--seeds", "2")
    main = tmp_path / "8_iterations" / "tagclip"
    for command in fake.commands:
        row, seed = Path(command[-1]).parts[-2:]
        if "transductive" in row:
            assert options(command)["load_from"] == str(main / seed / "iter_4.pth")
            assert options(command)["train_cfg.max_iters"] == "4"
        if "weighting" in row:
            assert command[0] == "tools/test.py" and command[2] == str(main / seed / "iter_8.pth")
            word = row.rpartition("_")[2]
            assert options(command)["model.decode_head.trusty_weighting"] == word


def test_a_failed_run_stops_no_other_and_is_named(fake: FakeRuns, tmp_path: Path) -> None:
    fake.failing = "zegclip/seed_0"
    with pytest.raises(InputError, match=r"1 runs failed, see\n.*zegclip/seed_0/output.txt$"):
        run(tmp_path, "--groups", "main", "--seeds", "2", "--methods", "zegclip", "ldvc")
    results = json.loads((tmp_path / "8_iterations" / "results.json").read_text())
    assert [each["seed"] for each in results["rows"]["zegclip"]["runs"]] == [1]
    assert len(results["rows"]["ldvc"]["runs"]) == 2
    fake.failing = "lr_0.001"  # the others decide
    (tmp_path / "8_iterations" / "search" / "ldvc" / "lr_0.001" / "run.json").unlink()
    with pytest.raises(InputError, match="1 runs failed"):
        run(tmp_path, "--groups", "main", "--seeds", "2", "--methods", "ldvc")


def test_the_time_limit_ends_what_runs_and_keeps_what_is_done(
    fake: FakeRuns, tmp_path: Path
) -> None:
    arguments = ["--methods", "ldvc", "--groups", "long", "--seeds", "3", "--jobs", "2"]
    results = run(tmp_path, *arguments, "--time-limit", "3.5")  # 4 of the search: 2 s
    assert fake.terminated == 1 and fake.most == 2
    assert len(results["rows"]["ldvc_long"]["runs"]) == 2
    assert run(tmp_path, *arguments, "--time-limit", "0")["rows"] == results["rows"]
    count = len(fake.commands)
    assert len(run(tmp_path, *arguments)["rows"]["ldvc_long"]["runs"]) == 3
    assert done(fake)[count:] == ["ldvc_long/seed_2"]
    run(tmp_path / "other", *arguments, "--time-limit", "1.5")  # no rate yet, so no row
    assert all(folder.startswith("search") for folder in done(fake)[count + 1 :])


def test_analyses_are_of_the_last_checkpoints(fake: FakeRuns, tmp_path: Path) -> None:
    run(tmp_path, "--methods", "ldvc", "--groups", "main", "long", "analyses", "--seeds", "2")
    analysed = [each for each in fake.commands if each[0] == "tools/analyze.py"]
    assert done(fake)[-4:] == [
        f"{row}/seed_{seed}/analysis" for row in ("ldvc", "ldvc_long") for seed in (0, 1)
    ]
    assert [Path(each[2]).name for each in analysed] == ["iter_8.pth"] * 2 + ["iter_32.pth"] * 2
    content = json.loads((tmp_path / "8_iterations" / "analysis.json").read_text())
    assert content["seeds"] == {"ldvc": [0, 1], "ldvc_long": [0, 1]}
    assert content["code"] == {"ldvc": ["1 (abc)"], "ldvc_long": ["1 (abc)"]}
    fragments = {"all": {"fragments_per_object": 11.0}}
    assert content["results"]["ldvc_long"][1] == {"fragments": fragments}


@pytest.mark.parametrize("groups", [["analyses"], ["analyses", "settings"]])
def test_analyses_without_their_rows_are_of_what_is_trained(
    fake: FakeRuns, tmp_path: Path, groups: list[str]
) -> None:
    arguments = ["--methods", "tagclip", "ldvc", "--seeds", "2", "--groups"]
    run(tmp_path, *arguments, "long")
    count = len(fake.commands)
    run(tmp_path, "--methods", "ldvc", "--seeds", "3", "--groups", *groups)
    analysed = [each for each in done(fake)[count:] if each.endswith("analysis")]
    assert analysed == [f"ldvc_long/seed_{seed}/analysis" for seed in (0, 1)]


def test_curves_are_left_to_the_figure() -> None:
    assert compare.without_curves({"a": [{"curve": [1], "b": 2}]}) == {"a": [{"b": 2}]}


@pytest.mark.filterwarnings("ignore:trusty_target='unseen_gt'")
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.options])
def test_rows_change_what_is_there(name: str) -> None:
    """A row that is another one's twin would say that something makes no difference."""
    row = ROWS[name]
    changed, usual = (
        Run(row.config, 0, options, PROJECT_ROOT).resolved() for options in (row.options, {})
    )
    assert training_fingerprint(changed.to_dict()) != training_fingerprint(usual.to_dict())
    for value in row.options.values():  # what the command line makes of it
        assert DictAction._parse_iterable(str(value)) == value
    init_default_scope("mmseg")
    MODELS.build(changed.model)  # which refuses what it does not know


def test_a_row_is_held_against_the_baseline_that_was_trained_likewise() -> None:
    assert baselines("zegclip_prompt_depth") == {"its method": "zegclip"}
    assert baselines("tagclip_prompt_depth") == {
        "its method": "tagclip",
        "ZegCLIP": "zegclip_prompt_depth",
    }
    assert baselines("ldvc_half_loss") == {"its method": "ldvc", "ZegCLIP": "zegclip"}
    assert baselines("ldvc_long") == {"ZegCLIP": "zegclip_long"}
