"""Every command that the documentation shows is one, and every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from graphcond.cli import app
from graphcond.recipe import load_recipe, shipped_recipes
from tests.docs.blocks import PAGES, ROOT, blocks, commands

SHOWN = sorted(
    {
        shlex.join(arguments)
        for page in PAGES
        for block in blocks(page, "sh")
        for arguments in commands(block.text)
    }
)


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command line means to the command it names, which is not run."""
    command = get_command(app)
    _disarm(command)
    return command.main(list(arguments), "graphcond", standalone_mode=False)


def _disarm(command: Any) -> None:
    if hasattr(command, "commands"):
        for part in command.commands.values():
            _disarm(part)
    else:
        command.callback = lambda **values: values


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_exists(line: str) -> None:
    values = parse(shlex.split(line))
    name = values.get("recipe") or values.get("file") or values.get("name")
    if name in shipped_recipes():
        load_recipe(name, base=values["base"], overrides=values.get("set_") or values.get("overrides") or ())


def test_there_are_commands() -> None:
    assert len(SHOWN) > 15


@pytest.mark.parametrize("line", ["train --bose tiny", "recipe chek x", "generate m --steps none"])
def test_the_test_sees_mistakes(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|valid"):
        parse(shlex.split(line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
