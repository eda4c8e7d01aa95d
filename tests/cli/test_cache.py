from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.io.cache import cache_entry


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["cache", *arguments])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    with cache_entry("worlds", "art") as new:
        (new / "picture").write_bytes(bytes(5000))
    return tmp_path / "worlds" / "art"


def test_inspect_lists_and_checks(entry: Path) -> None:
    assert "worlds" in call("inspect")
    (found,) = json.loads(call("inspect", "--check", "--json"))["entries"]
    assert (found["sort"], found["entries"], found["bytes"] > 5000) == ("worlds", 1, True)
    (entry / "picture").write_bytes(b"")
    with pytest.raises(InputError, match=r"art: 1 of the results are damaged: .* checksum. Delete it"):
        call("inspect", "--check")


def test_prune_says_what_it_deletes(entry: Path) -> None:
    assert call("prune").strip() == "deleted 0 results, 0.0 MB"
    assert call("prune", "--unused-for", "0", "--dry-run").startswith("would delete 1 results")
    assert entry.exists()
    assert json.loads(call("prune", "--unused-for", "0", "--json"))["folders"] == [str(entry)]
    assert not entry.exists()


def test_build_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    small = ("--set", "data.paintings_per_artist=4", "--set", "training.validation_samples=4", "--json")
    first = json.loads(call("build", "instructg2i", "--base", "tiny", *small))
    sorts = {one["sort"]: one["entries"] for one in json.loads(call("inspect", "--json"))["entries"]}
    assert sorts == {"training/latents": 2, "training/neighbors": 2, "training/prompts": 2, "worlds/art": 1}
    again = json.loads(call("build", "instructg2i", "--base", "tiny", *small))
    assert (again["targets"], again["validated_on"]) == (first["targets"], first["validated_on"]) != (0, 0)
    with pytest.raises(InputError, match="there is no base 'tinny'"):
        call("build", "instructg2i", "--base", "tinny")
