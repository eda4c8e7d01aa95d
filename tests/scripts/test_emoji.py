"""The scripts that fetch and draw the emoji sets: what they refuse, and what they leave out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "emoji"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import fetch  # type: ignore[import-not-found]
        import render  # type: ignore[import-not-found]

        yield {"fetch": fetch, "render": render}
    for name in ("emoji_data", "fetch", "render"):
        sys.modules.pop(name, None)


@pytest.fixture
def folder(scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scripts["fetch"], "outputs", lambda: tmp_path)
    return tmp_path


def test_without_npm_a_line_names_the_subset(
    scripts: dict[str, ModuleType], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match=r"npm was not found.*graphcond data build emoji"):
        scripts["fetch"].main()


def test_a_changed_archive_is_named_with_both_checksums(scripts: dict[str, ModuleType], folder: Path) -> None:
    fetch = scripts["fetch"]
    facts = fetch.sets()["noto"]
    fetch.archive(facts).parent.mkdir()
    fetch.archive(facts).write_bytes(b"another version")
    with pytest.raises(
        SystemExit, match=rf"noto: .*has the checksum [0-9a-f]{{64}}, expected {facts['sha256']}"
    ):
        fetch.check("noto", facts)


def test_matching_takes_the_usual_name_and_group_and_leaves_out_what_cannot_be_drawn(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(svg: str) -> bytes:
        if svg == "broken":
            raise ValueError("not an svg")
        return svg.encode()

    monkeypatch.setattr(scripts["render"], "drawn", drawn)
    rows = list(
        scripts["render"].matched(
            {
                "noto": [("hot-dog", "a", "Food & Drink"), ("rare", "a", "Objects")],
                "twemoji": [("hot-dog", "b", "Animals & Nature")],
                "emojione": [("hotdog", "broken", "Food & Drink")],
                "fxemoji": [("hot-dog", "c", "")],
            }
        )
    )
    assert [row["id"] for row in rows] == ["noto/hot-dog", "twemoji/hot-dog", "fxemoji/hot-dog"]
    assert {(row["text"], row["group"]) for row in rows} == {("hot dog", "Food & Drink")}
    assert "emojione/hotdog is left out: not an svg" in capsys.readouterr().out
