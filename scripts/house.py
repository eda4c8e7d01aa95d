"""Measure the package: its size, its structure, and imports between its rooms.

    python scripts/house.py
    python scripts/house.py --list single-callers
    python scripts/house.py --package ../other/graphcond

Prints each measure beside its aim. Exits with 1 where a hard rule is broken: no upward import, and no
concrete base outside ``graphcond/bases``. ``tests/test_import_directions.py`` reads the same table of layers.

A *single-caller* is a private function or method that its module names exactly once outside its definition.

A *kind test* asks at run time which of the two worlds, neighbors or scenes, a value belongs to:
``isinstance``, ``issubclass``, ``is`` or a ``match`` case with MmagData, WorldData or a class whose name
begins with Attributed, Graph, Neighbor or Scene: a dataset, context, features or config of one world.
Signals, encoders, formats, guiders and models (``GraphTokens``, ``GraphQFormerConfig``, ``GraphFormat``,
``GraphGuider``, ``GraphModel``) are left out, since they belong to neither world.

A *concrete base* is the class or config of one family (``StableDiffusionBase``, ``TinyConfig``), or a part
that only some families have: ``.unet`` or ``.vae`` of anything, ``.text_encoder`` or ``.tokenizer`` of
a base. Imports are left out: an imported name counts where it is used.
"""

from __future__ import annotations

import argparse
import ast
import re
import resource
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "graphcond"

LAYERS = [
    {
        "errors",
        "io",
        "config",
        "progress",
        "attributed_graph",
        "scene_graph",
        "splits",
        "context",
        "coverage",
        "signals",
        "denoiser_inputs",
        "intervals",
    },
    {"graphs", "scenes", "worlds", "drawing"},
    {"samplers", "bases"},
    {"encoders"},
    {"adapters", "objectives"},
    {"recipe", "condition", "guidance"},
    {"features", "data", "model", "saving", "pipeline", "precompute"},
    {"training", "evaluation"},
    {"report"},
    {"demo", "sweep"},
    {"cli", "__main__"},
]
"""The rooms, lowest first. A room may import its own layer and the layers before it."""
SEPARATE = [{"samplers", "bases"}, {"graphs", "worlds"}]
"""Rooms of one layer that must not import each other."""
ONLY = {"worlds": {"attributed_graph", "scene_graph", "context", "errors", "io"}}
"""Rooms that may import these only."""

KIND = re.compile(
    r"(Attributed|Graph|Neighbor|Scene)(?!Tokens|QFormer|Format|Guide|Model)[A-Z]\w*|MmagData|WorldData"
)
CONCRETE_BASE = re.compile(r"(StableDiffusion|SDXL|Tiny)\w*(Base|Config)")
MAY_NAME_BASES = {"__init__", "bases"}


class Place(NamedTuple):
    """A line of the package, and what stands there."""

    file: Path
    line: int
    what: str


def files_of(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room_of(file: Path, package: Path) -> str:
    relative = file.relative_to(package)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def root_modules(package: Path) -> list[Place]:
    """Modules that lie in no room, apart from ``__init__`` and ``__main__``."""
    files = sorted(file for file in package.glob("*.py") if file.stem not in {"__init__", "__main__"})
    return [Place(file, 1, file.stem) for file in files]


def single_callers(package: Path) -> list[Place]:
    found = []
    for file in files_of(package):
        nodes = list(ast.walk(tree_of(file)))
        named = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in nodes
            if isinstance(node, ast.Name | ast.Attribute)
        )
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        found += [
            Place(file, function.lineno, function.name)
            for function in functions
            if re.match(r"_(?!_)", function.name) and named[function.name] == 1
        ]
    return found


def kind_tests(package: Path) -> list[Place]:
    return [
        Place(file, node.lineno, ast.unparse(node))
        for file in files_of(package)
        for node in ast.walk(tree_of(file))
        if any(KIND.fullmatch(name) for name in _tested_classes(node))
    ]


def _tested_classes(node: ast.AST) -> Iterator[str]:
    tested: list[ast.AST] = []
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "issubclass"}:
        tested = list(ast.walk(node.args[1]))
    elif isinstance(node, ast.Compare) and any(isinstance(sign, ast.Is | ast.IsNot) for sign in node.ops):
        tested = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchClass):
        tested = [node.cls]
    yield from (one.id for one in tested if isinstance(one, ast.Name))


def concrete_bases(package: Path) -> list[Place]:
    return [
        Place(file, line, what)
        for file in files_of(package)
        if room_of(file, package) not in MAY_NAME_BASES
        for line, what in _names_of_bases(tree_of(file))
    ]


def _names_of_bases(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and CONCRETE_BASE.fullmatch(node.id):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            of_base = node.attr in {"text_encoder", "tokenizer"} and re.search(r"\b_?base$", owner)
            if node.attr in {"unet", "vae"} or of_base or CONCRETE_BASE.fullmatch(node.attr):
                yield node.lineno, f"{owner}.{node.attr}"


def imported_rooms(file: Path) -> dict[str, int]:
    """The rooms that a file imports anywhere in its text, each with the first line that does."""
    rooms: dict[str, int] = {}
    for node in ast.walk(tree_of(file)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("graphcond."):
                rooms.setdefault(name.split(".")[1], node.lineno)
    known = set().union(*LAYERS)
    return {room: line for room, line in rooms.items() if room in known}


def forbidden_imports(file: Path, package: Path = PACKAGE) -> list[Place]:
    """Imports of a room that lies higher, or that the room of ``file`` must not know."""
    level = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
    room = room_of(file, package)
    if room not in level:
        return [Place(file, 1, f"the room '{room}' is missing from LAYERS")]
    return [
        Place(file, line, f"{room} must not import {other}")
        for other, line in imported_rooms(file).items()
        if other != room
        and (
            level[other] > level[room]
            or any({room, other} <= rooms for rooms in SEPARATE)
            or other not in ONLY.get(room, {other})
        )
    ]


def upward_imports(package: Path) -> list[Place]:
    facade = package / "__init__.py"
    return [
        place for file in files_of(package) if file != facade for place in forbidden_imports(file, package)
    ]


def recipe_check_seconds(package: Path, runs: int = 3) -> float:
    """Processor seconds (user + system) of ``graphcond recipe check`` on a shipped recipe: the median."""
    recipe = package.parent / "recipes" / "instructg2i.yaml"
    command = [sys.executable, "-m", "graphcond", "recipe", "check", str(recipe)]
    seconds = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=package.parent, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(seconds)


PLACES: dict[str, tuple[Callable[[Path], list[Place]], str]] = {
    "root-modules": (root_modules, "about 12"),
    "single-callers": (single_callers, "< 200"),
    "kind-tests": (kind_tests, "< 12"),
    "upward-imports": (upward_imports, "0"),
    "concrete-bases": (concrete_bases, "0"),
}
"""Each measure that counts places, with its aim."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--list", choices=PLACES, metavar="WHAT", help=f"print the places of {', '.join(PLACES)}"
    )
    parser.add_argument("--package", type=Path, default=PACKAGE, help="the package folder to measure")
    asked = parser.parse_args()
    package = asked.package.resolve()
    if asked.list:
        for place in sorted(PLACES[asked.list][0](package)):
            print(f"{place.file.relative_to(package.parent)}:{place.line}: {place.what}")
        return 0

    files = files_of(package)
    counts = {name: len(places(package)) for name, (places, _) in PLACES.items()}
    rows = [
        ("files", len(files), "about 250"),
        ("lines", sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files), "<= 32000"),
        *((name, counts[name], aim) for name, (_, aim) in PLACES.items()),
        ("recipe-check seconds", round(recipe_check_seconds(package), 2), "< 1.5"),
    ]
    for name, value, aim in rows:
        print(f"{name:22}{value:>8}   aim {aim}")
    return 1 if counts["upward-imports"] or counts["concrete-bases"] else 0


if __name__ == "__main__":
    sys.exit(main())
