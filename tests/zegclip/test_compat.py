"""What the stack needs from us, and that importing the package does nothing more."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, load_checkpoint

from zegclip import compat
from zegclip.errors import InputError
from zegclip.files import PROJECT_ROOT

WITHOUT_SIDE_EFFECTS = """
import warnings, torch
import mmengine.runner.checkpoint as checkpoint, mmengine.model as model
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.dist import utils
def state():
    # (Libraries that we import have warning filters of their own.)
    ours = [f for f in warnings.filters if f[1] and f[1].pattern in zegclip_noise]
    return (torch.get_num_threads(), ours, dict(MODULE2PACKAGE),
            dict(checkpoint.CheckpointLoader._schemes), checkpoint._safe_torch_load,
            checkpoint.load_url, utils._init_dist_pytorch,
            model.MMDistributedDataParallel.__init__,
            getattr in torch.serialization.get_safe_globals())
torch.set_num_threads(3)
zegclip_noise = {noise!r}
before = state()
import zegclip, tagclip, ldvc, zegclip.apis
after = state()
assert after == before, (before, after)
"""


def test_importing_the_packages_has_no_side_effects() -> None:
    code = WITHOUT_SIDE_EFFECTS.replace("{noise!r}", repr(compat._NOISE))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestTorchvision:
    @pytest.fixture(autouse=True)
    def nothing_defined(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compat, "_torchvision_fragments", [])

    def test_does_nothing_where_its_library_loads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded: list[Path] = []
        monkeypatch.setattr(torch.ops, "load_library", loaded.append)
        assert compat.make_torchvision_importable() is False
        assert [path.stem for path in loaded] == ["_C"] and compat._torchvision_fragments == []

    def test_without_torchvision_nothing_is_loaded_from_the_current_folder(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        loaded: list[Path] = []
        (tmp_path / "_C.so").touch()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(compat.importlib.util, "find_spec", lambda _: None)
        monkeypatch.setattr(torch.ops, "load_library", loaded.append)
        monkeypatch.setattr(torch.library, "Library", mock.Mock())
        assert compat.make_torchvision_importable() is True and loaded == []

    def test_defines_the_schemas_once_where_it_does_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        defined: list[str] = []

        def load_library(path: Path) -> None:
            raise OSError("libtorch_cuda.so: cannot open shared object file")

        monkeypatch.setattr(torch.ops, "load_library", load_library)
        monkeypatch.setattr(torch.library, "Library", lambda *_: mock.Mock(define=defined.append))
        assert [compat.make_torchvision_importable() for _ in range(2)] == [True, True]
        assert [schema.partition("(")[0] for schema in defined] == ["nms", "qnms"]


def test_what_only_models_need_is_imported_later() -> None:
    code = """
import sys, zegclip, tagclip, ldvc
assert not {"open_clip", "timm", "torchvision", "torch._dynamo", "matplotlib"} & set(sys.modules)
from mmseg.models import TIMMBackbone
TIMMBackbone(model_name="resnet18", pretrained=False)
import open_clip, timm, torchvision
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestThreads:
    @pytest.fixture(autouse=True)
    def restore(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        monkeypatch.setattr(compat, "available_cores", lambda: 16)
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    def test_the_user_is_obeyed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert compat.limit_threads(data_workers=4) == torch.get_num_threads() == 3

    @pytest.mark.parametrize(
        ("processes", "workers", "threads"),
        [("1", 0, 16), ("1", 2, 14), ("1", 100, 12), ("4", 4, 3), ("8", 4, 2), ("64", 4, 1)],
    )
    def test_cores_are_shared(
        self, monkeypatch: pytest.MonkeyPatch, processes: str, workers: int, threads: int
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert compat.limit_threads(workers) == torch.get_num_threads() == threads


@pytest.fixture
def in_a_tool() -> None:
    """As in a program: this process stays prepared, as it would in tools/train.py."""
    compat.set_up()


@pytest.mark.usefixtures("in_a_tool")
def test_configs_inherit_from_mmseg(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("_base_ = 'mmseg::_base_/datasets/ade20k.py'\n")
    assert Config.fromfile(config).dataset_type == "ADE20KDataset"


class ThroughGetattr:
    """Reaches an attribute by ``getattr``, which mmengine's allow-list admits."""

    def __reduce__(self) -> tuple:
        return getattr, ("harmless here", "upper")


@pytest.mark.usefixtures("in_a_tool")
class TestCheckpointLoading:
    def test_plain_data_passes(self, tmp_path: Path) -> None:
        file = tmp_path / "plain.pth"
        torch.save({"state_dict": {"weight": torch.arange(3.0)}, "meta": {"iter": 7}}, file)
        loaded = CheckpointLoader.load_checkpoint(str(file), map_location="cpu")
        assert loaded["meta"] == {"iter": 7}

    @pytest.mark.parametrize("way", ["load_checkpoint", "_safe_torch_load", "load_url"])
    def test_every_way_in_is_checked(
        self, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mm = importlib.import_module("mmengine.runner.checkpoint")
        file = tmp_path / "sly.pth"
        torch.save({"state_dict": {}, "x": ThroughGetattr()}, file)
        if way == "load_url":
            monkeypatch.setattr(torch.hub, "download_url_to_file", lambda _, to: copy(file, to))
            with pytest.raises(InputError, match=r"http://localhost/sly\.pth is refused.*getattr"):
                load_checkpoint(torch.nn.Linear(1, 1), "http://localhost/sly.pth")
        elif way == "load_checkpoint":
            with pytest.raises(InputError, match=r"sly\.pth is refused.*getattr"):
                load_checkpoint(torch.nn.Linear(1, 1), str(file))
        else:
            with pytest.raises(InputError, match=r"sly\.pth is refused.*getattr"):
                mm._safe_torch_load(str(file), map_location="cpu")

    def test_an_address_is_not_taken_for_another_with_the_same_file_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """torch.hub would take what it has downloaded of that name."""
        monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
        for number in (0, 1):
            torch.save({"weight": torch.tensor(number)}, tmp_path / str(number))

        def download(address: str, to: str) -> None:
            copy(tmp_path / address.split("/")[3], to)

        monkeypatch.setattr(torch.hub, "download_url_to_file", download)
        for number in (0, 1):
            address = f"http://localhost/{number}/iter_20000.pth"
            assert CheckpointLoader.load_checkpoint(address)["weight"] == number

    def test_without_a_network_the_address_is_named(self) -> None:
        with pytest.raises(InputError, match=r"http://localhost:9/x\.pth cannot .*refused"):
            load_checkpoint(torch.nn.Linear(1, 1), "http://localhost:9/x.pth")


class Toy(BaseModel):
    """One weight; its loss is the mean of the weighted input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: torch.Tensor, mode: str = "loss") -> dict[str, torch.Tensor]:
        return {"loss": (self.weight * inputs).mean()}


def train_one_step() -> float:
    """The toy's weight after a step of the distributed wrapper, built as mmengine's runner does."""
    model = MMDistributedDataParallel(module=Toy(), device_ids=[0], broadcast_buffers=False)
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0))
    model.train_step({"inputs": torch.full((2,), 0.25)}, optimiser)
    return model.module.weight.item()


@pytest.mark.usefixtures("in_a_tool")
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU mmengine's own way is taken")
def test_distributed_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    store = f"file://{tmp_path}/store?rank=0&world_size=1"
    # nccl is what configs say; mmengine hands the local rank on as the index of a GPU.
    init_dist("pytorch", backend="nccl", init_method=store)
    try:
        assert torch.distributed.get_backend() == "gloo"
        # In a function, so that the model is gone before its process group: the other way round
        # its destructor joins gloo's thread, which can wait for Python's lock for ever.
        assert train_one_step() == pytest.approx(0.75)
    finally:
        torch.distributed.destroy_process_group()
        torch.multiprocessing.set_start_method(None, force=True)  # init_dist has set it


@pytest.mark.usefixtures("in_a_tool")
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU mmengine's own way is taken")
def test_slurm_without_a_gpu_obeys_dist_cfg(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        free_port = server.getsockname()[1]
    for name, value in (("PROCID", 0), ("NTASKS", 1), ("LOCALID", 0), ("NODELIST", "here")):
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_RANK", "RANK"):
        monkeypatch.setenv(name, "")  # so that what mmengine sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr(subprocess, "getoutput", lambda _: "127.0.0.1")  # scontrol
    init_dist("slurm", backend="nccl", port=free_port)
    try:
        assert torch.distributed.get_backend() == "gloo"
        assert os.environ["MASTER_PORT"] == str(free_port)
    finally:
        torch.distributed.destroy_process_group()
        torch.multiprocessing.set_start_method(None, force=True)  # init_dist has set it


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0"}, True),
        ({"RANK": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),  # before mmengine sets RANK
        ({"RANK": "2", "SLURM_PROCID": "0"}, False),  # torchrun within sbatch
    ],
)
def test_the_first_process_knows_it_from_the_start(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], first: bool
) -> None:
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert compat.is_first_process() == first


def test_cores_are_at_most_the_machines() -> None:
    assert 1 <= compat.available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 4), ("150000 100000", 2), ("1 100000", 1), ("", 4)]
)
def test_cores_of_a_container(monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(Path, "read_text", lambda self: quota)
    assert compat.available_cores() == cores


@pytest.mark.parametrize("program", ["train.py", "test.py", "demo.py"])
@pytest.mark.parametrize("own", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_how_threads_wait_is_said_before_torch_is_there(program: str, own: dict[str, str]) -> None:
    code = """if True:
        import os, runpy, sys
        class Torch:
            def find_spec(self, name, *_):
                if name == "torch":
                    sys.exit(os.environ.get("GOMP_SPINCOUNT", "nothing"))
        sys.meta_path.insert(0, Torch())
        sys.path.insert(0, "tools")
        runpy.run_path(f"tools/{sys.argv[1]}", run_name="imported")
    """
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", code, program]
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=clean | own, capture_output=True, text=True
    )
    expected = {"": "10000", "GOMP_SPINCOUNT": "7", "OMP_WAIT_POLICY": "nothing"}
    assert done.stderr.strip() == expected["".join(own)]
