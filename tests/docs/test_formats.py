"""The Python that the page on formats shows for graphs runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks

pytest.importorskip("networkx", reason="needs networkx")
pytest.importorskip("scipy", reason="needs scipy")
pytest.importorskip("torch_geometric", reason="needs graphcond[pyg]")


def test_graphs_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [b for b in blocks(ROOT / "docs/formats.md", "python") if "from_networkx" in b.text]
    assert len(found) == 1
    namespace: dict[str, object] = {}
    exec(found[0].compiled(), namespace)
    assert (tmp_path / "karate/graph.json").is_file()
    assert namespace["adjacency"].shape == (34, 34)  # type: ignore[attr-defined]
    assert namespace["data"].num_edges == 156  # type: ignore[attr-defined]
