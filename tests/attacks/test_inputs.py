"""Mutated inputs of every sort on the command line: exit 0 or 2, no traceback or hang, nothing half-written.

The verdicts are those of `tests.attacks.trials`. ``--attacks N`` tries about N inputs in all.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from PIL import Image

from graphcond.graphs import save_graph
from graphcond.graphs import store as stored
from graphcond.io.pictures import FORMATS
from graphcond.recipe import find_recipe, load_recipe, shipped_recipes
from graphcond.scenes import save_scene_world
from graphcond.worlds import SceneWorld
from tests.attacks.conftest import Tally
from tests.attacks.mutations import VALUES, bytes_changed, json_changed, retyped
from tests.attacks.trials import attack
from tests.builders import small_model
from tests.graphs.graphs import rich_graph

Attacks = Callable[[int], int]


def test_recipes(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    texts = {name: find_recipe(name).read_bytes() for name in shipped_recipes()}
    values = {name: load_recipe(name).model_dump(mode="json") for name in texts}

    def recipe(random: Random, place: Path) -> list[str]:
        file, name = place / "recipe.yaml", random.choice(list(texts))
        if random.random() < 0.5:
            file.write_bytes(bytes_changed(texts[name], random))
        else:
            file.write_bytes(json_changed(values[name], random))  # YAML reads it too
        return ["recipe", *random.choice((["check"], ["check"], ["show"], ["show", "--resolved"])), str(file)]

    attack(tally, recipe, attacks(80), tmp_path)


def test_settings(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    paths = ["name", "training.steps", "data", "base.kind", "conditions.0.encoder.kind", "stages.0.objective"]
    paths += ["guidance.graph.neighbors", "training.drop", "evaluation.protocol", "", "a.b.c", "tiny.x", "0"]

    def setting(random: Random, place: Path) -> list[str]:
        value = random.choice(
            [*map(str, VALUES), *map(repr, VALUES), "!!int ''", "!!set {a}", "&a [*a]", "{"]
        )
        text = f"{random.choice(paths)}={value}"
        if random.random() < 0.4:
            text = bytes_changed(text.encode("utf-8", "replace"), random).decode("utf-8", "replace")
        base = random.choice(([], ["--base", "tiny"]))
        return [
            "recipe",
            "check",
            random.choice(list(shipped_recipes())),
            *base,
            "--set",
            text.replace("\0", " "),
        ]

    attack(tally, setting, attacks(50), tmp_path)


COMMANDS = (
    ["data", "inspect", "GRAPH"],
    ["sample", "GRAPH", "--target", "a", "--sampler", "khop", "--set", "require_picture=false"],
    ["sample", "GRAPH", "--target", "a", "--sampler", "random", "--json"],
    ["sample", "GRAPH", "--target", "d", "--sampler", "ppr"],
    ["sample", "GRAPH", "--target", "ü c", "--sampler", "given", "--json"],
    ["data", "export", "GRAPH", "--out", "PLACE/edges.csv"],
    ["data", "export", "GRAPH", "--out", "PLACE/graph.pt"],
    ["data", "build", "GRAPH", "--out", "PLACE/again"],
)
"""Commands that open a graph."""


def of(command: list[str], graph: Path, place: Path) -> list[str]:
    return [word.replace("GRAPH", str(graph)).replace("PLACE", str(place)) for word in command]


@pytest.mark.parametrize("signed", [False, True], ids=["changed", "changed with its checksum"])
def test_graph_folders(tally: Tally, attacks: Attacks, tmp_path: Path, signed: bool) -> None:
    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "whole")
    files = sorted(file.name for file in (tmp_path / "whole").iterdir())

    def graph_folder(random: Random, place: Path) -> list[str]:
        folder = Path(shutil.copytree(tmp_path / "whole", place / "graph"))
        file = folder / random.choice([*files, "nodes.arrow", "indptr.npy"])
        if file.suffix == ".json":
            file.write_bytes(json_changed(json.loads(file.read_bytes()), random))
        else:
            file.write_bytes(bytes_changed(file.read_bytes(), random))
            if signed:
                manifest = json.loads((folder / "graph.json").read_bytes())
                manifest["files"][file.stem] = stored.describe(file).model_dump()
                (folder / "graph.json").write_text(json.dumps(manifest))
        return of(random.choice(COMMANDS), folder, place)

    attack(tally, graph_folder, attacks(40), tmp_path, forked=True)


NODES = [
    {"id": "a", "text": "a house", "split": "train", "type": "house", "year": "1900"},
    {"id": "b", "text": "", "split": "test", "type": "house", "year": ""},
    {"id": "ü c", "text": 'two\nlines, "quoted"', "split": "train", "type": "museum", "year": "1901"},
]
EDGES = [
    {"src": "a", "dst": "b", "weight": 1.5, "type": "near"},
    {"src": "b", "dst": "ü c", "weight": 2.0, "type": "far"},
    {"src": "ü c", "dst": "a", "weight": 0.5, "type": "near"},
]


def csv_of(rows: list[dict[str, Any]]) -> bytes:
    table = pa.table({name: [str(row[name]) for row in rows] for name in rows[0]})
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink)
    return sink.getvalue()


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def jsonl_of(rows: list[dict[str, Any]], random: Random) -> bytes:
    changed = retyped(rows, random)
    lines = changed if isinstance(changed, list) else [changed]
    return "\n".join(map(json.dumps, lines)).encode()


def test_tables(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    made = {".csv": csv_of, ".parquet": parquet_of}
    meta = {
        "version": "1.0.0",
        "node_data": [{"file_name": "nodes.csv", "node_id_field": "id"}],
        "edge_data": [{"file_name": "edges.csv", "src_id_field": "src", "dst_id_field": "dst"}],
    }
    lines = [
        {"center": "a.png", "text": "an a", "neighbors": ["b.png"]},
        {"center": "b.png", "text": "a b", "neighbors": ["a.png", "b.png"]},
    ]
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(picture, "PNG")

    def tables(random: Random, place: Path) -> list[str]:
        folder = place / "data"
        folder.mkdir()
        sort = random.choice((".csv", ".csv", ".jsonl", ".jsonl", ".parquet", "dgl", "metadata", "metadata"))
        if sort == "metadata":
            for name in ("a.png", "b.png"):
                (folder / name).write_bytes(picture.getvalue())
            content = jsonl_of(lines, random)
            (folder / "metadata.jsonl").write_bytes(
                bytes_changed(content, random) if random.random() < 0.5 else content
            )
        else:
            suffix = ".csv" if sort == "dgl" else sort
            for name, rows in {"nodes": NODES, "edges": EDGES}.items():
                if suffix == ".jsonl":
                    content = "\n".join(map(json.dumps, rows)).encode()
                    if random.random() < 0.5:
                        content = jsonl_of(rows, random)
                else:
                    content = made[suffix](rows)
                if random.random() < 0.6:
                    content = bytes_changed(content, random)
                (folder / f"{name}{suffix}").write_bytes(content)
            if sort == "dgl":
                text = yaml.safe_dump(meta).encode()
                changed = json_changed(meta, random) if random.random() < 0.5 else bytes_changed(text, random)
                (folder / "meta.yaml").write_bytes(changed)
        options = random.choice(([], [], ["--directed"], ["--memory", "64MiB"], ["--json"]))
        return ["data", "build", str(folder), "--out", str(place / "graph"), *options]

    attack(tally, tables, attacks(60), tmp_path)


SCENE = {
    "objects": ["cat", {"label": "dog", "attributes": ["red", "wet"], "box": [0.1, 0.2, 0.5, 0.9]}, "tree"],
    "relationships": [[0, "left of", 1], [1, "under", 2]],
    "caption": "a cat and a dog",
    "prompt": "a photo",
}
VISUAL_GENOME = [
    {
        "image_id": 1,
        "objects": [
            {"object_id": 10, "names": ["cat"], "x": 1, "y": 2, "w": 30, "h": 40, "attributes": ["red"]},
            {"object_id": 11, "names": ["dog"], "x": 5, "y": 6, "w": 7, "h": 8},
        ],
        "relationships": [{"relationship_id": 5, "predicate": "on", "subject_id": 10, "object_id": 11}],
    }
]
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 100, 200], "iscrowd": 0,
         "area": 20000, "segmentation": [[10, 20, 110, 20, 110, 220, 10, 220]]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [300, 20, 100, 200], "iscrowd": 0,
         "area": 20000, "segmentation": {"size": [480, 640], "counts": [1000, 500, 305700]}},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "grass"}],
}  # fmt: skip
LAION = [
    {
        "img_id": "7", "name": "a.jpg", "caption_ori": "a cat", "score": "6.5", "url": "http://x/a.jpg",
        "items": [{"item_id": 0, "label": "cat", "attributes": ["red"], "global_item_id": 3},
                  {"item_id": 1, "label": "dog", "attributes": [], "global_item_id": 4}],
        "relations": [{"triple_id": 0, "item1": 3, "relation": "on", "item2": 4, "global_relation_id": 5}],
    }
]  # fmt: skip


def test_scenes(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    sorts = {
        "scene.json": SCENE,
        "scenes.json": [SCENE, SCENE],
        "vg/scene_graphs.json": VISUAL_GENOME,
        "coco/annotations/instances_val2017.json": COCO,
        "laion.json": LAION,
    }

    def scenes(random: Random, place: Path) -> list[str]:
        name = random.choice([*sorts, "scenes.jsonl"])
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name == "scenes.jsonl":
            file.write_bytes(json_changed(SCENE, random) + b"\n" + json.dumps(SCENE).encode())
        else:
            file.write_bytes(json_changed(sorts[name], random))
        source = place / name.partition("/")[0] if "/" in name else file
        if random.random() < 0.3:
            return ["scene", "show", str(source), "--out", str(place / "drawn.png"), "--size", "64"]
        return ["scene", "inspect", str(source), *random.choice(([], ["--json"]))]

    attack(tally, scenes, attacks(60), tmp_path)


def test_scene_folders(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    save_scene_world(SceneWorld(count=2, resolution=32), tmp_path / "whole")

    def scene_folder(random: Random, place: Path) -> list[str]:
        folder = Path(shutil.copytree(tmp_path / "whole", place / "scenes"))
        (manifest,) = folder.glob("*.json")
        files = json.loads(manifest.read_bytes())
        file = random.choice([manifest, *(folder / name for name in files["files"])])
        if file == manifest:
            file.write_bytes(json_changed(files, random))
        else:
            file.write_bytes(bytes_changed(file.read_bytes(), random))
            files["files"][file.name] = stored.describe(file).model_dump()
            manifest.write_text(json.dumps(files))
        return ["scene", "inspect", str(folder), *random.choice(([], ["--json"]))]

    attack(tally, scene_folder, attacks(20), tmp_path)


def test_pictures(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    samples: dict[str, bytes] = {}
    Image.init()
    for name in FORMATS:
        for mode in ("RGB", "RGBA", "L", "P", "I;16", "1"):
            sink = io.BytesIO()
            try:
                Image.new("RGB", (40, 30), "teal").convert(mode).save(sink, name)
            except (OSError, KeyError, ValueError, AttributeError, struct.error):
                continue
            samples[f"{name} {mode}"] = sink.getvalue()

    def pictures(random: Random, place: Path) -> list[str]:
        (place / "data").mkdir()
        names = [f"{number}.png" for number in range(4)]
        for name in names:
            content = samples[random.choice(list(samples))]
            (place / "data" / name).write_bytes(bytes_changed(content, random))
        line = {"center": names[0], "text": "x", "neighbors": names[1:]}
        (place / "data/metadata.jsonl").write_text(json.dumps(line))
        if random.random() < 0.2:
            sampled = ["--sampler", "semantic", "--picture", str(place / "drawn.png")]
            return ["sample", str(place / "data"), "--target", names[0], *sampled]
        return ["data", "inspect", str(place / "data"), "--pictures"]

    attack(tally, pictures, attacks(40), tmp_path)


def header_changed(content: bytes, random: Random) -> bytes:
    """A safetensors file with changed fields in its header."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps(retyped(json.loads(content[8 : 8 + length]), random)).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def test_models(tally: Tally, attacks: Attacks, tmp_path: Path, sd_folder: Path) -> None:
    small_model(sd_folder).save_pretrained(tmp_path / "model")
    (weights,) = (tmp_path / "model").glob("conditions/*/encoder.safetensors")

    def manifest(random: Random, place: Path) -> list[str]:
        folder = Path(shutil.copytree(tmp_path / "model", place / "model"))
        file = folder / "graphcond.json"
        file.write_bytes(json_changed(json.loads(file.read_bytes()), random))
        return ["recipe", "show", str(folder), *random.choice(([], ["--json"]))]

    def weight(random: Random, place: Path) -> list[str]:
        folder = Path(shutil.copytree(tmp_path / "model", place / "model"))
        file = folder / weights.relative_to(tmp_path / "model")
        change = header_changed if random.random() < 0.5 else bytes_changed
        file.write_bytes(change(file.read_bytes(), random))
        options = ["--prompt", "x", "--steps", "1", "--out", str(place / "drawn.png")]
        return ["generate", str(folder), *options]

    attack(tally, manifest, attacks(40), tmp_path)
    attack(tally, weight, attacks(5), tmp_path)


def test_neighbor_files(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    from graphcond.cli import app

    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "graph")
    whole = tmp_path / "whole.safetensors"
    settings = ["--sampler", "khop", "--set", "require_picture=false"]
    app(["sample-all", str(tmp_path / "graph"), "--out", str(whole), *settings], standalone_mode=False)

    def neighbor_file(random: Random, place: Path) -> list[str]:
        file = place / "neighbors.safetensors"
        change = random.choice((header_changed, bytes_changed, lambda content, random: content))
        file.write_bytes(change(whole.read_bytes(), random))
        sampler = ["--sampler", "precomputed", "--set", f"path={file}", "--set", "neighbors=2"]
        return ["sample", str(tmp_path / "graph"), "--target", "a", *sampler, *settings[2:]]

    attack(tally, neighbor_file, attacks(20), tmp_path)


def test_embedding_files(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "graph")
    sink = io.BytesIO()
    np.save(sink, np.ones((4, 3), np.float32))

    def embedding_file(random: Random, place: Path) -> list[str]:
        file = place / random.choice(("x.npy", "x.npy", "x.safetensors", "x.pt"))
        file.write_bytes(bytes_changed(sink.getvalue(), random))
        options = ["--sampler", "semantic", "--set", "similarity.kind=embedding", "--features", str(file)]
        return ["sample", str(tmp_path / "graph"), "--target", "a", *options]

    attack(tally, embedding_file, attacks(15), tmp_path)


NAMES = (
    *(
        "",
        " ",
        ".",
        "..",
        "-",
        "--",
        "~",
        "*",
        "a" * 300,
        "a/" * 2000,
        "\n",
        "\t",
        "\x1b[2J",
        "\u202e",
        "\udcff",
    ),
    *("nowhere", "a file", "folder", "loop", "dangling", "pipe", "/dev/null", "/dev/zero", "/proc/self/mem"),
    *(
        "folder/..",
        "a file/x",
        "%20",
        "a:b",
        "C:\\x",
        "\\\\host\\x",
        "https://x.y/z",
        "a/b",
        "=1+1",
        "'\"$(x)",
    ),
)


def test_paths(tally: Tally, attacks: Attacks, tmp_path: Path) -> None:
    commands = (
        *(["data", "build", "SRC", "--out", "OUT"], ["data", "inspect", "SRC"], ["recipe", "show", "SRC"]),
        *(["data", "export", "SRC", "--out", "OUT.csv"], ["sample", "SRC", "--target", "OUT"]),
        *(
            ["recipe", "check", "SRC"],
            ["scene", "inspect", "SRC"],
            ["scene", "show", "SRC", "--out", "OUT.png"],
        ),
        *(["data", "features", "SRC", "--out", "OUT.npy"], ["sample-all", "SRC", "--out", "OUT"]),
        *(["generate", "SRC", "--prompt", "x", "--out", "OUT"], ["train", "SRC", "--out", "OUT"]),
        *(["evaluate", "SRC"], ["recipe", "check", "instructg2i", "--set", "data.path=SRC"]),
        *(["convert", "instructg2i", "SRC", "--out", "OUT"], ["train", "instructg2i", "--resume", "SRC"]),
    )

    def path(random: Random, place: Path) -> list[str]:
        os.chdir(place)
        (place / "a file").write_text("x")
        (place / "folder").mkdir()
        (place / "loop").symlink_to("loop")
        (place / "dangling").symlink_to("nothing")
        os.mkfifo(place / "pipe")
        source, out = random.choice(NAMES), random.choice(NAMES)
        return [word.replace("SRC", source).replace("OUT", out) or source for word in random.choice(commands)]

    here = Path.cwd()
    try:
        attack(tally, path, attacks(40), tmp_path)
    finally:
        os.chdir(here)
