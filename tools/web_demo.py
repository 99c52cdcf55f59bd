#!/usr/bin/env python
"""A web page: upload a picture, type classes, see the segmentation and explore it.

Bound to this machine (127.0.0.1) unless told otherwise. Without a config and a checkpoint CLIP does
it without training: OpenAI's ViT-B/16, downloaded once. With --mini it is the mini model, which
knows drawings of VOC's 20 classes, not photographs. Needs gradio.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from support.model_options import add_checkpoint

from zegclip.apis import ZeroShotInferencer
from zegclip.datasets.mini.compositor import compose_scene
from zegclip.datasets.mini.scenes import scene_classes
from zegclip.engine.launch import run
from zegclip.errors import InputError

# Pillow refuses files of more than twice as many pixels: a small file may hold a huge picture.
# (Phones take photographs of 50 megapixels.)
MAX_PIXELS = 32_000_000


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/web_demo.py --config configs/tagclip_coco_inductive.py "
        "--checkpoint work_dirs/tagclip_coco_inductive/iter_80000.pth",
    )
    parser.add_argument("--config", help="of the model (default: CLIP without training)")
    add_checkpoint(parser)
    parser.add_argument(
        "--compare",
        nargs="+",
        default=(),
        metavar=("CONFIG", "CHECKPOINT"),
        help="of a second method, whose answers stand beside the first one's",
    )
    parser.add_argument("--device", help="cuda, cpu, ... (default: CUDA where there is one)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: the whole network"
    )
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    return parser.parse_args(argv)


def photographs() -> list[tuple[str, list[str]]]:
    """Examples that Gradio and matplotlib bring along."""
    from gradio.media import get_image

    portrait = get_sample_data("grace_hopper.jpg", asfileobj=False)
    return [
        (get_image("lion.jpg"), ["lion", "rock", "tree"]),
        (get_image("cheetah.jpg"), ["cheetah", "grass", "road"]),
        (get_image("tower.jpg"), ["tower", "branch", "bird"]),
        (str(portrait), ["face", "hat", "uniform", "flag"]),
    ]


def draw_scenes(folder: Path) -> list[tuple[str, list[str]]]:
    """Examples of what the mini model knows, larger than those that it was trained with."""
    examples = []
    for index in range(4):
        rng = np.random.default_rng(index)
        names = [str(name) for name in rng.choice(list(scene_classes()), 4, replace=False)]
        drawings = [scene_classes()[name][0] for name in names[:3]]  # and one that is not there
        file = folder / f"scene{index}.png"
        Image.fromarray(compose_scene(drawings, rng, 480).image).save(file)
        examples.append((str(file), names))
    return examples


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    args = parse_args(argv)
    try:
        from zegclip.apis.web_page import build_page  # (Gradio is an extra)
    except ImportError as error:
        message = f'the page needs Gradio ({error}): pip install "gradio>=6"'
        raise InputError(message) from error
    if len(args.compare) > 2:
        raise InputError("--compare takes a config and a checkpoint, which some methods have not")
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    try:  # before the models are loaded
        socket.create_server((args.host, args.port), family=family).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {args.host} --port {args.port}: {error}; choose another"
        ) from error
    inferencers = [ZeroShotInferencer(args.config, args.checkpoint, args.device)]
    if args.compare:
        config, checkpoint = (*args.compare, None)[:2]
        inferencers.append(ZeroShotInferencer(config, checkpoint, args.device))
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    if threading.current_thread() is threading.main_thread():  # others can set no handler
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    # (A visitor whose page is still open may write into it while it is removed.)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("GRADIO_TEMP_DIR", f"{folder}/uploads")  # goes with it at the end
        knows_drawings = "_mini" in Path(inferencers[0].config).stem
        examples = draw_scenes(Path(folder)) if knows_drawings else photographs()
        page = build_page(inferencers, examples)
        if args.host not in ("127.0.0.1", "localhost", "::1"):
            print(f"listening at {args.host}: whoever reaches this machine can use it")
        print(f"http://{args.host}:{args.port}  (Ctrl-C ends it)", flush=True)
        page.launch(
            server_name=args.host,
            server_port=args.port,
            max_file_size="20mb",
            footer_links=[],
            state_session_capacity=20,  # each keeps its picture's embeddings and probabilities
            show_error=True,
            quiet=True,
        )


if __name__ == "__main__":
    run(main)
