"""Every format of graphs and of scenes keeps what `Format` promises; a new one needs one row here."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.graphs import graph_formats, load_graph, read_source, to_pyg
from graphcond.graphs.load import FORMATS as GRAPHS
from graphcond.graphs.load import detect
from graphcond.io.optional import optional
from graphcond.scenes import SceneInput, load_scene_set, read_scene_source, save_scene_world, scene_formats
from graphcond.scenes.load import FORMATS as SCENES
from graphcond.scenes.load import detect_scenes
from graphcond.worlds.scenes import SceneWorld
from tests.graphs.graphs import rich_graph, write_metadata
from tests.plugins import install
from tests.scenes.scenes import SHEEP

Maker = Callable[[Path], Path]


def written(*parts: tuple[str, Any], name: str = "") -> Maker:
    """Writes files into a folder, by their names: texts, JSON, gzip or what torch saves."""

    def make(folder: Path) -> Path:
        for part, value in parts:
            file = folder / part
            file.parent.mkdir(parents=True, exist_ok=True)
            if part.endswith(".pt"):
                torch.save(value, file)
            elif part.endswith(".json"):
                file.write_text(json.dumps(value, indent=1), encoding="utf-8")
            else:
                file.write_bytes(gzip.compress(value.encode()) if part.endswith(".gz") else value.encode())
        return folder / name if name else folder

    return make


def metadata(folder: Path) -> Path:
    write_metadata(folder, [{"center": "a.png", "text": "t", "neighbors": ["b.png"]}], ["a.png", "b.png"])
    return folder


def pyg(folder: Path) -> Path:
    pytest.importorskip("torch_geometric", reason="needs graphcond[pyg]")
    torch.save(to_pyg(rich_graph()).to_dict(), folder / "g.pt")
    return folder / "g.pt"


def dgl_graph() -> Any:
    try:
        dgl = optional("dgl", "dgl")
    except InputError:
        pytest.skip("needs graphcond[dgl]")
    graph = dgl.graph((torch.tensor([0, 1]), torch.tensor([1, 2])), num_nodes=3)
    graph.ndata["feat"] = torch.arange(6.0).reshape(3, 2)
    return dgl, graph


def dgl(folder: Path) -> Path:
    library, graph = dgl_graph()
    library.save_graphs(str(folder / "g.bin"), [graph])
    return folder / "g.bin"


def magb(folder: Path) -> Path:
    library, graph = dgl_graph()
    library.save_graphs(str(folder / "MoviesGraph.pt"), [graph])
    (folder / "Movies.csv").write_text("id,text\n0,zero\n1,one\n2,two\n")
    return folder


def scene_folder(folder: Path) -> Path:
    save_scene_world(SceneWorld(count=2), folder / "world")
    return folder / "world"


def sg2im(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="needs graphcond[scenes]")
    words = {"object_idx_to_name": ["sky", "sea"], "pred_idx_to_name": ["above"]}
    (folder / "vocab.json").write_text(json.dumps(words))
    with h5py.File(folder / "train.h5", "w") as file:
        file["image_ids"] = np.array([7], np.int32)
        for name, value in (("object_names", [[0, 1]]), ("relationship_subjects", [[0]])):
            file[name] = np.array(value, np.int32)
        file["object_boxes"] = np.zeros((1, 2, 4), np.int32)
        file["relationship_predicates"] = np.zeros((1, 1), np.int32)
        file["relationship_objects"] = np.ones((1, 1), np.int32)
        file["objects_per_image"], file["relationships_per_image"] = np.array([2]), np.array([1])
    return folder


OBJECTS = [{"object_id": n, "names": [name], "x": 1, "y": 1, "w": 9, "h": 9} for n, name in enumerate("abc")]
RELATIONS = [{"predicate": "above", "subject_id": 0, "object_id": 1}]
IMAGE = {"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}
NOTES = [{"image_id": 1, "category_id": 1, "bbox": [30 * n, 0, 30, 50]} for n in range(3)]
ELEMENT = '"bbox": [0, 0, 500, 500], "desc": "star, blue"'
META = "version: 1.0.0\nnode_data: [{file_name: nodes.csv}]\nedge_data: [{file_name: edges.csv}]\n"

GRAPH_SAMPLES: dict[str, Maker] = {
    "metadata": metadata,
    "tables": written(("nodes.csv", "id,text\na,1\nb,2\n"), ("edges.jsonl", '{"src": "a", "dst": "b"}')),
    "edge_list": written(("links.csv.gz", "src,dst\na,b\nb,c\n"), name="links.csv.gz"),
    "dgl_csv": written(
        ("meta.yaml", META), ("nodes.csv", "node_id\n7\n9\n"), ("edges.csv", "src_id,dst_id\n7,9\n")
    ),
    "ogb": written(
        ("raw/edge.csv.gz", "0,1\n1,2\n"),
        ("raw/num-node-list.csv.gz", "3\n"),
        ("nodes.csv", "id,text\n0,zero\n"),
    ),
    "mm_graph": written(
        ("nc_edges-nodeid.pt", torch.tensor([[0, 1], [1, 2]])), ("clip_feat.pt", torch.ones(3, 2))
    ),
    "magb": magb,
    "pyg": pyg,
    "dgl": dgl,
}

SCENE_SAMPLES: dict[str, Maker] = {
    "folder": scene_folder,
    "written": written(("s.jsonl", f"{json.dumps(SHEEP)}\n{json.dumps(SHEEP)}\n"), name="s.jsonl"),
    "grounded": written(
        ("g.json", [{"objects": [{"phrase": "a dog", "box": [0, 0, 1, 1]}, {"phrase": "grass"}]}]),
        name="g.json",
    ),
    "sgcond": written(("data.json", [[[[0, 0, 1, 1], [0, 0, 0.5, 1]], ["sky", "sea"]]]), name="data.json"),
    "laion-sg": written(("train.json", [{"img_id": 1, "items": [{"item_id": 1, "label": "lake"}]}])),
    "visual-genome": written(
        ("scene_graphs.json", [{"image_id": 1, "objects": OBJECTS, "relationships": RELATIONS}]),
        ("image_data.json", [{"image_id": 1, "width": 100, "height": 100}]),
    ),
    "sg2im": sg2im,
    "coco": written(
        (
            "instances_val2017.json",
            {"images": [IMAGE], "categories": [{"id": 1, "name": "dog"}], "annotations": NOTES},
        )
    ),
    "flux3": written(("f.txt", f'a star <star_1>. [{{"id": "star_1", {ELEMENT}}}]'), name="f.txt"),
    "ideogram4": written(
        ("i.json", {"compositional_deconstruction": {"elements": [json.loads(f"{{{ELEMENT}}}")]}}),
        name="i.json",
    ),
    "fibo": written(
        ("b.json", {"short_description": "", "objects": [{"description": "star"}]}), name="b.json"
    ),
    "comfyui": written(("c.json", [{"type": "obj", **json.loads(f"{{{ELEMENT}}}")}]), name="c.json"),
}


@dataclass(frozen=True)
class Kind:
    """What the two kinds of formats have in common, for this suite."""

    samples: dict[str, Maker]
    formats: Callable[[], Any]
    detect: Callable[[Path], str]
    given: Callable[[Path], Any]
    read: Callable[[Path], object]


GRAPH = Kind(GRAPH_SAMPLES, graph_formats, lambda path: detect(path).name, lambda path: path, load_graph)
SCENE = Kind(
    SCENE_SAMPLES,
    scene_formats,
    lambda path: detect_scenes(SceneInput(path)).name,
    SceneInput,
    lambda path: read_scene_source(path).scene_set(),
)

ROWS = [
    pytest.param(kind, name, id=f"{word}-{name}")
    for word, kind in (("graph", GRAPH), ("scene", SCENE))
    for name in kind.samples
]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, byte for byte."""
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_every_format_has_a_row() -> None:
    assert [kind.name for kind in GRAPHS] == list(GRAPH_SAMPLES)
    assert [kind.name for kind in SCENES] == list(SCENE_SAMPLES)


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_a_sample_is_detected_and_read_and_left_alone(kind: Kind, name: str, tmp_path: Path) -> None:
    path = kind.samples[name](tmp_path)
    before = content(tmp_path)
    assert kind.detect(path) == name
    assert len(kind.read(path)) > 0  # type: ignore[arg-type]
    assert content(tmp_path) == before


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_no_sample_has_the_signs_of_a_format_that_it_does_not_hide(
    kind: Kind, name: str, tmp_path: Path
) -> None:
    path = kind.samples[name](tmp_path)
    formats = kind.formats()
    signed = {other for other, format in formats.items() if format.signs(kind.given(path))}
    assert signed - set(formats[name].hides) == {name}
    assert set(formats[name].hides) <= set(formats)


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_signs_are_false_elsewhere(kind: Kind, name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("a line\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    for other in ("empty", "notes.txt", "picture.png", "gone"):
        if (tmp_path / other).exists() or kind is GRAPH:
            assert not kind.formats()[name].signs(kind.given(tmp_path / other))


def cut(data: bytes) -> bytes:
    return data[: len(data) * 3 // 7]


def garbled(data: bytes) -> bytes:
    return random.Random(0).randbytes(max(len(data), 64))


@pytest.mark.parametrize("damage", [cut, garbled, lambda data: b""], ids=["cut", "garbled", "emptied"])
@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_damage_is_told_with_place_and_remedy(
    kind: Kind, name: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = kind.samples[name](tmp_path)
    told: list[InputError] = []
    for file in sorted(tmp_path.rglob("*")):
        if not file.is_file() or file.suffix == ".png":
            continue
        whole = file.read_bytes()
        file.write_bytes(damage(whole))
        try:
            kind.read(path)  # a table that ends earlier may be whole
        except InputError as error:
            told.append(error)
        file.write_bytes(whole)
    assert told
    assert all(error.place is not None and error.remedy for error in told), told


@pytest.mark.parametrize("kind", [GRAPH, SCENE], ids=["graph", "scene"])
def test_an_unknown_kind_of_file_is_answered_with_all_formats(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a line\n")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError) as caught:
            kind.read(path)
        assert caught.value.place == path
        for format in kind.formats().values():
            assert f"{format.name} ({format.files})" in caught.value.problem


def test_two_formats_in_one_folder_are_named(tmp_path: Path) -> None:
    GRAPH_SAMPLES["metadata"](tmp_path)
    GRAPH_SAMPLES["mm_graph"](tmp_path)
    with pytest.raises(InputError, match=r"found metadata \(.*\) and mm_graph \("):
        load_graph(tmp_path)


PAIRS = """
import numpy as np
from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.graphs import GraphFormat, GraphSource
from graphcond.scenes import SceneFormat, SceneRecord, SceneSource
from graphcond.scene_graph import SceneGraph


def read(path, columns):
    pairs = [line.split() for line in path.read_text().splitlines()]
    ids = sorted({end for pair in pairs for end in pair})
    ends = np.array([[ids.index(end) for end in pair] for pair in pairs])
    nodes = NodeTable(ids=ids, texts=[""] * len(ids), pictures=[None] * len(ids))
    return GraphSource(nodes, EdgeList(ends[:, 0], ends[:, 1]))


PAIRS = GraphFormat(
    name="pairs", files="a .pairs file", signs=lambda path: path.suffix == ".pairs", read=read
)


def read_words(given):
    lines = given.path.read_text().splitlines()
    return SceneSource([SceneRecord(SceneGraph(line.split()), str(n)) for n, line in enumerate(lines)])


WORDS = SceneFormat(
    name="words", files="a .words file", signs=lambda given: given.path.suffix == ".words", read=read_words
)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"graphcond.formats": "pairs = pairs:PAIRS", "graphcond.scene_formats": "words = pairs:WORDS"}
    (tmp_path / "site").mkdir()
    install(monkeypatch, tmp_path / "site", "pairs", PAIRS, entries)


@pytest.mark.usefixtures("plugin")
def test_a_plugin_adds_formats(tmp_path: Path) -> None:
    (tmp_path / "g.pairs").write_text("a b\nb c\n")
    done = CliRunner().invoke(app, ["data", "build", str(tmp_path / "g.pairs"), "--out", str(tmp_path / "g")])
    assert done.exit_code == 0, done.output
    assert list(load_graph(tmp_path / "g").nodes.ids) == ["a", "b", "c"]
    (tmp_path / "s.words").write_text("sky grass\n")
    assert load_scene_set(tmp_path / "s.words").graphs[0].objects == ("sky", "grass")
    with pytest.raises(InputError, match=r"pairs \(a \.pairs file\)"):
        read_source(tmp_path)


def test_a_plugin_may_not_replace_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PAIRS.replace('"pairs"', '"ogb"')
    install(monkeypatch, tmp_path, "thief", source, {"graphcond.formats": "ogb = thief:PAIRS"})
    with pytest.raises(InputError, match=r"plug-in 'thief:PAIRS' .*: the name 'ogb' exists already"):
        graph_formats()


def test_a_plugin_that_offers_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, "odd", "FORMAT = 3\n", {"graphcond.formats": "odd = odd:FORMAT"})
    with pytest.raises(InputError, match="is not a GraphFormat"):
        graph_formats()
