"""The README's Python runs as it stands, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from graphcond.adapters import INJECTORS
from graphcond.bases import BASES
from graphcond.cli import app
from graphcond.encoders import ENCODERS
from graphcond.recipe.sections import DataConfig, FeaturesConfig
from graphcond.samplers import SAMPLERS
from graphcond.samplers.similarity.config import SIMILARITIES
from tests.docs.blocks import ROOT, blocks

README = ROOT / "README.md"
SHORTER = {
    '"training.steps=600"': '"training.steps=2", "training.batch_size=4", "training.validation_samples=4", '
    '"training.previews=1", "training.preview_steps=1"'
}
"""What is replaced so that the test is quick."""


def test_the_python_blocks_run_in_order(reader: Path) -> None:
    found = blocks(README, "python")
    assert len(found) >= 5
    assert all(any(long in block.text for block in found) for long in SHORTER)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for block in found:
        text = block.text
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        exec(block.compiled(text), namespace)
    assert (reader / "star.png").is_file()
    assert namespace["mixed"].images[0].size == (64, 64)
    assert namespace["neighborhood"].embeddings.shape[-1] == namespace["clip"].width
    assert namespace["picture"].size == (64, 64)
    assert (reader / "outputs/mine/model/graphcond.json").is_file()
    assert namespace["sampler"].sample(namespace["np"].arange(4), None).present.any()


def test_the_table_of_choices_names_every_kind() -> None:
    rows = _table("What you can choose")
    for part, kinds in {
        "sampler": SAMPLERS,
        "similarity": SIMILARITIES,
        "encoder": ENCODERS,
        "injector": INJECTORS,
        "base": BASES,
        "features": _kinds(FeaturesConfig),
        "data": _kinds(DataConfig),
    }.items():
        assert {kind for kind in kinds if f"`{kind}" not in rows[part]} == set(), part


def test_the_table_of_commands_names_every_command() -> None:
    from typer.main import get_command

    told = " ".join(_table("Commands"))
    assert {name for name in get_command(app).commands if f"graphcond {name}" not in told} == set()


def _kinds(union: Any) -> list[str]:
    return [config.kind_name() for config in get_args(get_args(union)[0])]


def _table(heading: str) -> dict[str, str]:
    """First cell to the rest of the row, of the table below a heading."""
    section = README.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    assert len(rows) > 3
    return dict(rows)
