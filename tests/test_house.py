"""Who may import whom: imports inside functions count too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("zegclip", "tagclip", "ldvc")
PROGRAMS = {path.stem for path in (ROOT / "tools").iterdir() if path.name[0] not in "._"}


def room(module: str) -> str:
    """``zegclip.heads.base`` -> ``zegclip.heads``; a method's package is one room."""
    return (
        ".".join(module.split(".")[:2]) if module.startswith("zegclip.") else module.split(".")[0]
    )


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            # ``from zegclip import clip`` imports a room, ``from zegclip.clip import x`` a name.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def arrows() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            here = room(module.removesuffix(".__init__"))
            for target in imports(file):
                top = target.split(".")[0]
                there = room(target) if top in PACKAGES else top
                if there != here:
                    found.setdefault(here, set()).add(there)
    return found


def test_no_room_imports_what_imports_it() -> None:
    # (zegclip itself, its __init__, imports every room.)
    rooms = {
        here: {there for there in targets if there.split(".")[0] in PACKAGES} - {"zegclip"}
        for here, targets in arrows().items()
        if here != "zegclip"
    }
    order = list(TopologicalSorter(rooms).static_order())  # raises CycleError, which names them
    assert order.index("zegclip.clip") < order.index("zegclip.segmentors")


def test_the_core_knows_no_method_and_no_method_another() -> None:
    for here, targets in arrows().items():
        tops = {target.split(".")[0] for target in targets}
        if here.startswith("zegclip"):
            assert not tops & {"tagclip", "ldvc"}, here
        assert not {here} | tops >= {"tagclip", "ldvc"}, here
        assert not tops & ((PROGRAMS - {"test"}) | {"tools", "configs"}), here


def test_the_core_has_no_word_of_the_methods() -> None:
    word = re.compile(r"trusty|lcsa|consensus|region|tagclip|ldvc", re.IGNORECASE)
    for file in (ROOT / "zegclip").rglob("*.py"):
        found = word.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.relative_to(ROOT)}: {found.group()}"
