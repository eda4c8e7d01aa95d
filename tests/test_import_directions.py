"""Rooms know only the rooms before them: design.md's order, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "graphcond"

LAYERS = [
    {
        "errors",
        "io",
        "config",
        "progress",
        "attributed_graph",
        "scene_graph",
        "context",
        "signals",
        "denoiser_inputs",
    },
    {"graphs", "scenes", "worlds", "drawing"},
    {"samplers", "encoders", "bases"},
    {"adapters", "objectives"},
    {"recipe", "condition", "guidance"},
    {"features", "data", "model", "saving", "pipeline", "precompute"},
    {"training", "evaluation"},
    {"demo", "bench"},
    {"cli", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SEPARATE = [{"samplers", "encoders", "bases"}, {"graphs", "worlds"}]
"""Rooms of one level that do not know each other."""
WORLDS_MAY_KNOW = {"attributed_graph", "scene_graph", "context", "errors", "io"}


def room_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(file: Path) -> set[str]:
    """Rooms that a file imports from anywhere in its text."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("graphcond.")}
    return rooms & set(LEVEL)


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_lies_before_it(file: Path) -> None:
    room = room_of(file)
    assert room in LEVEL, f"say in LAYERS where the room '{room}' stands"
    for other in imports(file) - {room}:
        assert LEVEL[other] <= LEVEL[room], f"{room} may not know {other}"
        assert not any({room, other} <= separate for separate in SEPARATE), f"{room} may not know {other}"
    if room == "worlds":
        assert imports(file) - {room} <= WORLDS_MAY_KNOW


def test_the_test_sees_imports(tmp_path: Path) -> None:
    file = tmp_path / "any.py"
    file.write_text("def f():\n    from graphcond.cli import x\n    import graphcond.training.trainer\n")
    assert imports(file) == {"cli", "training"}
