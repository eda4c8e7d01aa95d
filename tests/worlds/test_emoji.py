"""The emoji world: splits without leak, typed edges, and the licences of all that ships."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from graphcond.errors import InputError
from graphcond.graphs import inspect_graph, save_world
from graphcond.worlds import EmojiWorld
from graphcond.worlds.emoji.world import PICTURES

SETS = yaml.safe_load((Path(__file__).parents[2] / "scripts/emoji/sets.yaml").read_text())
RECIPE = yaml.safe_load((Path(__file__).parents[2] / "scripts/emoji/recipe.yaml").read_text())


@pytest.fixture(scope="module")
def world() -> EmojiWorld:
    return EmojiWorld()


def smaller(folder: Path, rows: list[int]) -> Path:
    """A table of some of the pictures that ship."""
    pq.write_table(pq.read_table(PICTURES).take(pa.array(rows)), folder / "some.parquet")
    return folder / "some.parquet"


def test_held_out_pairs_are_of_subjects_that_other_studios_show(world: EmojiWorld) -> None:
    nodes = world.nodes()
    subjects, studios = nodes.attributes["subject"], nodes.attributes["studio"]
    assert nodes.splits is not None
    pairs = list(zip(subjects, studios, strict=True))
    assert len(set(pairs)) == len(pairs)
    shown = Counter(subjects[row] for row in nodes.in_split("train", "val").tolist())
    tested = [subjects[row] for row in nodes.in_split("test").tolist()]
    assert len(tested) == len(set(tested)) >= 120
    assert all(shown[subject] >= 2 for subject in tested)


def test_the_unseen_studio_is_its_own_split(world: EmojiWorld) -> None:
    nodes = world.nodes()
    assert nodes.splits is not None
    by_split = {
        split: {nodes.attributes["studio"][row] for row in nodes.in_split(split).tolist()}
        for split in set(nodes.splits)
    }
    assert by_split["unseen"] == {RECIPE["unseen"]}
    assert by_split["train"] == by_split["val"] == by_split["test"] == set(RECIPE["studios"])


def test_texts_name_the_subject_and_only_some_of_training_the_studio(world: EmojiWorld) -> None:
    nodes = world.nodes()
    hinted = [text != name for text, name in zip(nodes.texts, nodes.attributes["subject"], strict=True)]
    training = nodes.in_split("train")
    assert 0.07 < np.mean(np.array(hinted)[training]) < 0.13
    assert sum(hinted) == np.array(hinted)[training].sum()
    row = hinted.index(True)
    assert (
        nodes.texts[row]
        == f"{nodes.attributes['subject'][row]} by {RECIPE['studios'][nodes.attributes['studio'][row]]}"
    )


def test_edges_are_typed_and_half_of_them_mislead(world: EmojiWorld) -> None:
    nodes, edges = world.nodes(), world.edges()
    studios = np.array(nodes.attributes["studio"])
    same = studios[edges.sources] == studios[edges.targets]
    assert edges.types is not None
    true = np.isin(edges.types, ["same_series", "same_studio"])
    assert set(edges.types) == {"same_series", "same_studio", "same_group", "same_tag"}
    assert np.array_equal(same, true)
    assert np.mean(same) == pytest.approx(0.5, abs=0.01)
    again = EmojiWorld().edges()
    assert np.array_equal(edges.sources, again.sources)
    assert not np.array_equal(edges.sources, EmojiWorld(seed=1).edges().sources)


def test_its_graph_folder_is_sound(world: EmojiWorld, tmp_path: Path) -> None:
    chosen = np.random.default_rng(0).permutation(len(world))[:150]
    some = EmojiWorld(smaller(tmp_path, sorted(chosen.tolist())))
    graph = save_world(some, tmp_path / "graph")
    report = inspect_graph(tmp_path / "graph", pictures=True)
    assert not report.missing_pictures
    assert not report.undecodable_pictures
    assert not report.shared_pictures
    assert len(graph) == 150


def test_a_studio_with_a_single_picture(world: EmojiWorld, tmp_path: Path) -> None:
    studios = np.array(world.nodes().attributes["studio"])
    rows = [int(np.flatnonzero(studios == "fxemoji")[0]), *np.flatnonzero(studios == "noto")[:30].tolist()]
    some = EmojiWorld(smaller(tmp_path, rows))
    edges = some.edges()
    alone = np.array(edges.types)[(edges.sources == 0) | (edges.targets == 0)]
    assert len(alone)
    assert set(alone) <= {"same_group", "same_tag"}


@pytest.mark.parametrize("content", [None, b"not a table"])
def test_a_table_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "pictures.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="not a table of emoji") as caught:
        EmojiWorld(file).nodes()
    assert caught.value.place == file


def test_everything_that_ships_is_credited_and_not_under_share_alike() -> None:
    table = pq.read_table(PICTURES, columns=["id", "studio", "license", "credit"]).to_pylist()
    facts = {row["studio"]: (row["license"], row["credit"]) for row in table}
    assert facts == {name: (SETS[name]["license"], SETS[name]["credit"]) for name in facts}
    credits = [line for line in PICTURES.with_name("CREDITS.md").read_text().splitlines() if line[:2] == "| "]
    lines = {line.split("|")[1].strip(): line for line in credits[1:]}
    assert set(lines) == set(facts)
    for studio, (license, credit) in facts.items():
        assert "SA" not in license
        package, version = SETS[studio]["package"], SETS[studio]["version"]
        for part in (credit, f"{package} {version}", f"[{license}](https://", "](https://github.com/"):
            assert part in lines[studio]
    trained = {*RECIPE["studios"], RECIPE["unseen"]}
    assert trained == set(facts)
