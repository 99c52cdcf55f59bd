"""Who starts several processes: torchrun, also again after a failure, two nodes, Slurm."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / "tools"
TOY = Path(__file__).parent / "toy"
# As `srun` and `scontrol` of a machine with one node: all tasks at once, killed with the first.
SRUN = """#!/usr/bin/env bash
echo "$@" > srun_arguments
while [ "$1" != "$PYTHON" ]; do
    [ "$1" = --ntasks ] && export SLURM_NTASKS=$2
    shift
done
export SLURM_NODELIST=node[1]
for task in $(seq 0 $((SLURM_NTASKS - 1))); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
done
wait -n && wait -n
"""
# The second process fails once, after the checkpoint of the second iteration.
FAILING = """
from pathlib import Path
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

@HOOKS.register_module()
class FailOnce(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3 and get_rank() == 1 and not Path("failed").exists():
            Path("failed").touch()
            raise RuntimeError("the second process fails")
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (folder, TOY, TOOLS.parent)))
    ours = {"PYTHON": sys.executable, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    return kept | ours | {"OMP_NUM_THREADS": "1"} | more


def free_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def log_of(work_dir: Path) -> str:
    assert torch.load(work_dir / "iter_4.pth", weights_only=True)["meta"]["iter"] == 4
    return "".join(file.read_text() for file in sorted(work_dir.glob("*/*.log")))


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_and_torchrun_goes_on(toy_folder: Path) -> None:
    """With fewer images than processes, in training as in validation."""
    (toy_folder / "failing.py").write_text(FAILING)
    (toy_folder / "toy_data" / "one.txt").write_text("a")
    imports = ["zegclip", "toy_segmentor", "failing"]
    (toy_folder / "config.py").write_text(
        f"_base_ = {str(TOY / 'toy_config.py')!r}\n"
        f"custom_imports = dict(imports={imports})\n"
        "custom_hooks = [dict(type='FailOnce')]\n"
        "one = dict(dataset=dict(ann_file='one.txt'))\n"
        "train_dataloader = dict(**one, batch_size=1)\nval_dataloader = one\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["--max-restarts=1", TOOLS / "train.py", "config.py", "--launcher=pytorch"]
    done = subprocess.run(
        [*command, "--resume", "--work-dir=w"],
        cwd=toy_folder,
        # (torch's issue 135712: processes would find their predecessors' addresses.)
        env=environment(toy_folder, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "RuntimeError: the second process fails" in done.stderr
    assert "resumed epoch: 0, iter: 2" in log_of(toy_folder / "w")


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "shown"), [("", "None"), ("3", "3")])
def test_each_process_takes_its_share_of_the_cores(tmp_path: Path, chosen: str, shown: str) -> None:
    """Not torchrun's one thread, and not more than a container's quota."""
    probe = "import os; print(os.environ.get('OMP_NUM_THREADS'), os.environ['LOCAL_WORLD_SIZE'])"
    (tmp_path / "probe.py").write_text(probe)
    done = subprocess.run(
        [TOOLS / "torchrun.sh", "2", tmp_path / "probe.py"],
        env=environment(tmp_path, OMP_NUM_THREADS=chosen),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == [shown, "2"] * 2, (done.stdout, done.stderr)
    assert "OMP_NUM_THREADS" not in done.stderr


@pytest.mark.slow
def test_two_nodes(toy_folder: Path) -> None:
    command = [TOOLS / "dist_train.sh", TOY / "toy_config.py", "1", "--work-dir=w"]
    port = free_port()
    nodes = [
        subprocess.Popen(
            command,
            cwd=toy_folder,
            env=environment(toy_folder, NNODES="2", NODE_RANK=rank, PORT=port),
        )
        for rank in "01"
    ]
    assert [node.wait(300) for node in nodes] == [0, 0]
    assert "GPU number: 2" in log_of(toy_folder / "w")


@pytest.mark.slow
def test_slurm(toy_folder: Path) -> None:
    programs = toy_folder / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", "#!/bin/sh\necho 127.0.0.1\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    slurm = dict(GPUS="2", GPUS_PER_NODE="2", MASTER_PORT=free_port(), SRUN_ARGS="--time 60")
    slurm["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    config = TOY / "toy_config.py"
    for script, *words in (
        ("slurm_train.sh", config, "--work-dir=w"),
        ("slurm_test.sh", config, "w/iter_4.pth", "--work-dir=tested", "--out=maps"),
    ):
        done = subprocess.run(
            [TOOLS / script, "gpu", "toy", *words],
            cwd=toy_folder,
            env=environment(toy_folder, **slurm),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        arguments = Path(toy_folder, "srun_arguments").read_text()
        assert "--partition gpu --job-name toy --ntasks 2" in arguments
        assert "--gres gpu:2" in arguments and "--time 60" in arguments
    assert "GPU number: 2" in log_of(toy_folder / "w")
    assert len(list((toy_folder / "maps").iterdir())) == 4
