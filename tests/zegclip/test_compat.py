"""Each trap of the stack, and that its mend does nothing more than mend it."""

from __future__ import annotations

import importlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, load_checkpoint

from zegclip import compat
from zegclip.errors import InputError


class TestTorchvision:
    def test_imports_with_its_operators_declared(self) -> None:
        import torchvision.transforms

        assert torchvision.transforms.Resize
        assert hasattr(torch.ops.torchvision, "nms")
        assert hasattr(torch.ops.torchvision, "qnms")

    def test_does_nothing_where_it_imports(self) -> None:
        before = list(compat._torchvision_fragments)
        assert compat.mend_torchvision() is False
        assert compat._torchvision_fragments == before

    def test_imports_again_after_the_schemas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []

        def import_module(name: str) -> ModuleType:
            calls.append(name)
            if len(calls) == 1:
                raise RuntimeError("operator torchvision::nms does not exist")
            return ModuleType(name)

        monkeypatch.setattr(compat.importlib, "import_module", import_module)
        monkeypatch.setattr(compat, "_torchvision_fragments", [])
        monkeypatch.setitem(compat.sys.modules, "torchvision", ModuleType("torchvision"))
        assert compat.mend_torchvision() is True
        assert calls == ["torchvision", "torchvision"]
        assert len(compat._torchvision_fragments) == 1

    def test_other_errors_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def import_module(name: str) -> ModuleType:
            raise RuntimeError("out of luck")

        monkeypatch.setattr(compat.importlib, "import_module", import_module)
        with pytest.raises(RuntimeError, match="out of luck"):
            compat.mend_torchvision()


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
        assert compat.limit_threads(data_workers=4) == 3
        assert torch.get_num_threads() == 3

    @pytest.mark.parametrize(
        ("processes", "workers", "threads"),
        [("1", 0, 16), ("1", 2, 14), ("1", 100, 12), ("4", 4, 3), ("8", 4, 2), ("64", 4, 1)],
    )
    def test_cores_are_shared(
        self, monkeypatch: pytest.MonkeyPatch, processes: str, workers: int, threads: int
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert compat.limit_threads(workers) == threads
        assert torch.get_num_threads() == threads


def test_cores_are_at_most_the_machines() -> None:
    assert 1 <= compat.available_cores() <= (os.cpu_count() or 1)


def test_configs_inherit_from_mmseg(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("_base_ = 'mmseg::_base_/datasets/ade20k.py'\n")
    assert Config.fromfile(config).dataset_type == "ADE20KDataset"


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


class ThroughGetattr:
    """Reaches an attribute by ``getattr``, which the forks' allow-list admits."""

    def __reduce__(self) -> tuple:
        return getattr, ("harmless here", "upper")


class TestCheckpointLoading:
    def test_plain_data_passes(self, tmp_path: Path) -> None:
        file = tmp_path / "plain.pth"
        torch.save({"state_dict": {"weight": torch.arange(3.0)}, "meta": {"iter": 7}}, file)
        loaded = CheckpointLoader.load_checkpoint(str(file), map_location="cpu")
        assert loaded["meta"] == {"iter": 7}
        assert torch.equal(loaded["state_dict"]["weight"], torch.arange(3.0))

    @pytest.mark.parametrize("archive", [True, False])
    def test_a_command_is_refused_and_not_run(self, tmp_path: Path, archive: bool) -> None:
        file, trace = tmp_path / "evil.pth", tmp_path / "was_here"
        content = {"state_dict": {}, "x": Malicious(f"touch {trace}")}
        if archive:
            torch.save(content, file)
        else:  # a bare pickle
            file.write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(InputError, match=r"evil\.pth is refused.*any code"):
            load_checkpoint(torch.nn.Linear(1, 1), str(file))
        assert not trace.exists()

    def test_getattr_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "sly.pth"
        torch.save({"state_dict": {}, "x": ThroughGetattr()}, file)
        with pytest.raises(InputError, match=r"sly\.pth is refused.*getattr"):
            load_checkpoint(torch.nn.Linear(1, 1), str(file))

    def test_what_others_admitted_does_not_count(self, tmp_path: Path) -> None:
        file = tmp_path / "sly.pth"
        torch.save({"x": ThroughGetattr()}, file)
        with torch.serialization.safe_globals([getattr]):
            assert callable(torch.load(file, weights_only=True)["x"])
            with pytest.raises(InputError):
                compat.load_checkpoint_file(file)
            assert getattr in torch.serialization.get_safe_globals()

    @pytest.mark.parametrize("scheme", ["_safe_torch_load", "load_url"])
    def test_every_other_scheme_is_checked_too(
        self, tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mm = importlib.import_module("mmengine.runner.checkpoint")
        file = tmp_path / "sly.pth"
        torch.save({"x": ThroughGetattr()}, file)
        if scheme == "load_url":  # torch.hub looks into model_dir before it downloads
            with pytest.raises(pickle.UnpicklingError):
                mm.load_url("http://localhost/sly.pth", model_dir=str(tmp_path))
        else:
            with pytest.raises(InputError):
                mm._safe_torch_load(str(file), map_location="cpu")

    def test_broken_and_missing_files_are_named(self, tmp_path: Path) -> None:
        file = tmp_path / "cut.pth"
        torch.save({"weight": torch.zeros(1000)}, file)
        file.write_bytes(file.read_bytes()[:600])
        with pytest.raises(InputError, match=r"cut\.pth cannot be read"):
            compat.load_checkpoint_file(file)
        with pytest.raises(FileNotFoundError, match=r"none\.pth"):
            compat.load_checkpoint_file(tmp_path / "none.pth")


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
