from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from graphcond.cli.sample import sample
from graphcond.errors import InputError
from graphcond.graphs import load_graph
from graphcond.recipe import load_recipe
from graphcond.samplers.defaults import RIVALS, default_sampler

APP = typer.Typer()
APP.command()(sample)

#  001 - 002 - 003, and 001 - 004; 005 stands alone; 004 has no picture
NODES = """id,text,image
001,a star,1.png
002,two [bold] stars,2.png
003,a moon,3.png
004,no picture,
005,alone,5.png
"""
EDGES = "src,dst\n001,002\n002,003\n001,004\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "paintings"
    source.mkdir()
    (source / "nodes.csv").write_text(NODES)
    (source / "edges.csv").write_text(EDGES)
    for name, color in zip("1235", ("red", "green", "blue", "white"), strict=True):
        Image.new("RGB", (40, 30), color).save(source / f"{name}.png")
    return source


PPR = ("--sampler", "ppr")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result


def as_json(*arguments: object) -> dict[str, object]:
    return json.loads(run(*arguments, "--json").stdout)


def ids(answer: dict[str, object]) -> list[str]:
    return [neighbor["id"] for neighbor in answer["neighbors"]]  # type: ignore[attr-defined]


def test_json_lists_neighbors_best_first_by_their_ids(folder: Path) -> None:
    answer = as_json(folder, "--target", "001")
    assert list(answer) == ["target", "neighbors"]
    assert answer["target"] == "001"
    assert ids(answer) == ["002", "003"]
    first, second = answer["neighbors"]  # type: ignore[misc]
    assert first["score"] > second["score"] > 0
    assert (second["text"], second["picture"]) == ("a moon", "3.png")
    assert "relation" not in second


def test_settings_change_the_sampler(folder: Path) -> None:
    assert ids(as_json(folder, "--target", "001", "--set", "neighbors=1")) == ["002"]
    wide = as_json(
        *(folder, "--target", "001", *PPR, "--set", "require_picture=false", "--set", "method=exact")
    )
    assert ids(wide) == ["002", "004", "003"]
    assert ids(as_json(folder, "--target", "001", "--sampler", "khop")) == ["002"]


def test_the_relation_is_shown_where_edges_have_types(folder: Path) -> None:
    (folder / "edges.csv").write_text("src,dst,type\n001,002,[same] hand\n002,003,year\n001,004,year\n")
    first, second = as_json(folder, "--target", "001")["neighbors"]  # type: ignore[misc]
    assert (first["relation"], second["relation"]) == ("[same] hand", None)
    shown = run(folder, "--target", "001").stdout
    assert "relation" in shown
    assert "[same] hand" in shown


@pytest.fixture
def typed(folder: Path) -> Path:
    """As the folder, with types of nodes and edges."""
    (folder / "edges.csv").write_text(
        "src,dst,type\n001,002,hand\n002,003,year\n001,003,year\n001,005,hand\n"
    )
    (folder / "nodes.csv").write_text(
        NODES.replace("image", "image,type").replace(".png", ".png,painting").replace("picture,", "picture,,")
    )
    return folder


def test_types_weigh_and_have_quotas(typed: Path) -> None:
    def found(*settings: str) -> list[str]:
        return ids(as_json(typed, "--target", "001", *(part for one in settings for part in ("--set", one))))

    assert found("edge_type_weights.year=0") == ["002", "005"]
    assert found("edge_type_weights={hand: 0.001, year: 2}")[0] == "003"
    assert set(found("quotas.relations.hand=1")) < {"002", "003", "005"}
    assert len(found("quotas.node_types.painting=2")) == 2
    assert found("quotas.node_types.painting=0") == []


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("edge_type_weights.hnad=0", "no edge type 'hnad'.*did you mean 'hand'"),
        ("edge_type_weights.hand=-1", r"edge_type_weights\.hand: .*greater than or equal to 0"),
        ("edge_type_weights.hand=.nan", r"edge_type_weights\.hand: .*finite"),
        ("edge_type_weights.hand=much", r"edge_type_weights\.hand: .*number"),
        ("edge_type_weights=2", r"edge_type_weights: .*dictionary"),
        ("quotas.relations.yaer=1", "no relation 'yaer'.*did you mean 'year'"),
        ("quotas.node_types.museum=1", "no node type 'museum'"),
        ("quotas.relations.year=-1", r"quotas\.relations\.year: .*greater than or equal to 0"),
        ("quotas.edge_types.year=1", r"quotas\.edge_types: unknown key"),
    ],
)
def test_bad_types_are_named(typed: Path, setting: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"(?i){problem}"):
        run(typed, "--target", "001", "--set", setting)


@pytest.mark.parametrize(
    "setting", ["edge_type_weights.hand=0", "quotas.relations.hand=1", "quotas.node_types.painting=1"]
)
def test_a_graph_without_types_says_so(folder: Path, setting: str) -> None:
    with pytest.raises(InputError, match="have no types"):
        run(folder, "--target", "001", "--set", setting)


def test_the_seed_decides_what_is_drawn(folder: Path) -> None:
    drawn = [
        ids(as_json(folder, "--target", "004", "--sampler", "random", "--set", "neighbors=2", "--seed", seed))
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len({tuple(answer) for answer in drawn}) > 1


def test_a_person_reads_a_table(folder: Path) -> None:
    shown = run(folder, "--target", "001").stdout
    assert "a star" in shown
    assert "two [bold] stars" in shown
    assert shown.index("002") < shown.index("003")


def test_a_node_may_have_no_neighbors(folder: Path) -> None:
    assert "005 has no neighbors with a picture" in run(folder, "--target", "005").stdout
    assert "005 has no neighbors." in run(folder, "--target", "005", "--set", "require_picture=no").stdout
    assert as_json(folder, "--target", "005") == {"target": "005", "neighbors": []}


def test_draws_the_target_and_its_neighbors(folder: Path, tmp_path: Path) -> None:
    run(folder, "--target", "001", "--picture", tmp_path / "row.png")
    with Image.open(tmp_path / "row.png") as row:
        colors = {color for _, color in row.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= colors


def test_a_target_without_a_picture_can_be_drawn(folder: Path, tmp_path: Path) -> None:
    run(folder, "--target", "004", "--picture", tmp_path / "row.jpg")
    assert Image.open(tmp_path / "row.jpg").format == "JPEG"


def test_compares_nodes_by_a_clip_model(folder: Path, clip_folder: Path) -> None:
    answer = as_json(folder, "--target", "001", "--sampler", "semantic_ppr", "--features", clip_folder)
    assert sorted(ids(answer)) == ["002", "003"]


def test_compares_nodes_by_an_embedding_file(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nodes.npy", np.float32([[1, 0], [0, 1], [1, 0.1], [0, 0], [1, 0.5]]))
    answer = as_json(
        *(folder, "--target", "001", "--sampler", "semantic"),
        *("--features", tmp_path / "nodes.npy", "--set", "similarity.kind=embedding"),
    )
    assert ids(answer) == ["003", "005", "002"]


def test_without_edges_nodes_are_compared(folder: Path, clip_folder: Path) -> None:
    (folder / "edges.csv").write_text("src,dst\n")
    assert len(ids(as_json(folder, "--target", "001", "--features", clip_folder))) == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--target", "0001"], r"no node '0001'.*did you mean '001'"),
        (["--target", "zebra"], r"no node 'zebra'.*did you mean '001'"),
        (["--sampler", "prr"], r"no sampler 'prr'.*did you mean 'ppr'"),
        (["--set", "alhpa=0.1"], r"alhpa: unknown key, did you mean 'alpha'"),
        (["--set", "alpha=2"], "alpha: .*less than 1"),
        (["--set", "alpha=0"], "alpha: .*greater than 0"),
        (["--set", "alpha=nan"], "alpha: .*finite"),
        (["--set", "precision=0"], "precision: .*greater than 0"),
        (["--set", "precision=1.1"], "precision: .*less than or equal to 1"),
        (["--set", "threads=0"], "threads: .*greater than or equal to 1"),
        (["--set", "neighbors=0"], "neighbors: .*greater than or equal to 1"),
        (["--set", "alpha"], "write --set"),
        (["--sampler", "semantic", "--set", "similarity.kind=consensus"], "semantic_ppr"),
        (["--sampler", "semantic_ppr", "--set", "similarity.kind=txt_image"], "did you mean 'text_image'"),
        (["--sampler", "semantic_ppr", "--set", "similarity=consensus"], "similarity.kind: consensus"),
        (["--sampler", "given"], "no ready-made neighbors"),
        (["--picture", "row.doc"], r"row\.doc.*\.png"),
    ],
)
def test_bad_input_is_named(folder: Path, arguments: list[str], problem: str) -> None:
    target = [] if "--target" in arguments else ["--target", "001"]
    with pytest.raises(InputError, match=f"(?i){problem}"):
        run(folder, *target, *arguments)


def test_an_embedding_file_of_other_nodes(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nodes.npy", np.ones((4, 2), np.float32))
    with pytest.raises(InputError, match=r"nodes\.npy: the file has 4 rows for 5 nodes"):
        run(folder, "--target", "001", "--sampler", "semantic_ppr", "--features", tmp_path / "nodes.npy")


@pytest.mark.parametrize("kind", ["ppr", "semantic", "semantic_ppr", "khop", "hop_mean", "random"])
def test_asking_for_more_than_there_is(folder: Path, clip_folder: Path, kind: str) -> None:
    answer = as_json(
        *(folder, "--target", "001", "--sampler", kind, "--features", clip_folder),
        *("--set", "neighbors=1000"),
    )
    assert set(ids(answer)) <= {"002", "003", "005"}
    assert "002" in ids(answer)


def test_an_embedding_file_has_no_pictures_to_compare(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nodes.npy", np.ones((5, 2), np.float32))
    with pytest.raises(InputError, match="no picture embeddings"):
        run(
            *(folder, "--target", "001", "--features", tmp_path / "nodes.npy"),
            *("--sampler", "semantic_ppr", "--set", "similarity.kind=consensus"),
        )


def test_a_graph_may_have_no_nodes(folder: Path) -> None:
    (folder / "nodes.csv").write_text("id,text\n")
    (folder / "edges.csv").write_text("src,dst\n")
    with pytest.raises(InputError, match=r"no node '001'"):
        run(folder, "--target", "001")


CLIP = frozenset({"pictures", "texts"})


def test_the_default_is_the_sampler_of_the_recipe(folder: Path) -> None:
    """On what the tiny base can compare: settings that are not named are the recipe's too."""
    recipe = load_recipe("instructg2i", base="tiny")
    sampler = recipe.conditions[0].sampler
    assert type(sampler).model_validate(default_sampler(load_graph(folder), CLIP)) == sampler


@pytest.mark.parametrize(
    ("edges", "pictures", "kind", "similarity", "count"),
    [
        (True, True, "semantic_ppr", "consensus", 2),
        (True, False, "ppr", None, 3),
        (False, True, "semantic", "text_image", 3),
        (False, False, "semantic", "text_text", 4),
    ],
)
def test_the_default_suits_the_graph(
    folder: Path, edges: bool, pictures: bool, kind: str, similarity: str | None, count: int
) -> None:
    if not edges:
        (folder / "edges.csv").write_text("src,dst\n")
    if not pictures:
        (folder / "nodes.csv").write_text("id,text\n001,a star\n002,two stars\n003,a moon\n004,x\n005,y\n")
    found = default_sampler(load_graph(folder), CLIP)
    assert (found["kind"], found.get("similarity", {}).get("kind")) == (kind, similarity)
    assert found.get("require_picture", True) is pictures
    assert len(ids(as_json(folder, "--target", "001"))) == count


def test_embeddings_from_a_file_are_compared(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nodes.npy", np.float32([[1, 0], [0, 1], [1, 0.1], [0, 0], [1, 0.5]]))
    found = ids(as_json(folder, "--target", "001", "--features", tmp_path / "nodes.npy"))
    assert found == ["003", "002"]
    (folder / "edges.csv").write_text("src,dst\n")
    found = ids(as_json(folder, "--target", "001", "--features", tmp_path / "nodes.npy"))
    assert found == ["003", "005", "002"]


def test_a_recipe_gives_sampler_and_features(folder: Path, tmp_path: Path, clip_folder: Path) -> None:
    overrides = ["conditions.neighbors.sampler.similarity.kind=text_image", "features.kind=clip"]
    mine = load_recipe("instructg2i", base="tiny", overrides=[*overrides, f"features.model={clip_folder}"])
    mine.save(tmp_path / "mine.yaml")
    from_recipe = as_json(folder, "--target", "001", "--recipe", tmp_path / "mine.yaml")
    written = ("--sampler", "semantic_ppr", "--set", "similarity.kind=text_image", "--features", clip_folder)
    assert from_recipe == as_json(folder, "--target", "001", *written)
    assert from_recipe != as_json(folder, "--target", "001")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--recipe", "instructg2i", "--sampler", "ppr"], "--sampler: the recipe has a sampler"),
        (["--recipe", "instructg2"], "did you mean 'instructg2i'"),
        (
            ["--recipe", "sgcond-i"],
            "--recipe sgcond-i: expected a recipe with one sampler of neighbors, got 0",
        ),
        (["--set", "kind=prr"], "--set: there is no sampler 'prr'. did you mean 'ppr'"),
        (["--agreement", "line"], "--target, --agreement: expected either a node or a column"),
    ],
)
def test_bad_choices_of_a_sampler_are_named(folder: Path, arguments: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=f"(?i){problem}"):
        run(folder, "--target", "001", *arguments)


@pytest.fixture
def lines(folder: Path) -> Path:
    """Two lines of products: 001, 002 and 003 are linked and of one line; 006 is linked to 001 by mistake."""
    rows = ["001,a star,1.png,a,test", "002,a star,2.png,a,", "003,a moon,3.png,a,", "006,a moon,5.png,b,"]
    (folder / "nodes.csv").write_text("\n".join(["id,text,image,line,split", *rows, "007,none,,,test"]))
    (folder / "edges.csv").write_text("src,dst\n001,002\n001,003\n002,003\n001,006\n")
    return folder


def test_agreement_of_neighbors_with_their_target(lines: Path) -> None:
    """Over the labelled node of the test split: of its neighbors 002, 003 and 006, two have its line."""
    found = json.loads(run(lines, "--agreement", "line", "--json").stdout)
    assert list(found) == list(RIVALS)
    assert found["khop"]["mean"] == found["ppr"]["mean"] == pytest.approx(2 / 3)
    assert all(figure["n"] == 1 for figure in found.values())
    alone = json.loads(run(lines, "--agreement", "line", "--sampler", "ppr", "--json").stdout)
    assert alone == {"ppr": found["ppr"]}
    nearest = run(lines, "--agreement", "line", "--set", "neighbors=2").stdout
    assert "1.00" in nearest
    assert "over 1 targets of the split 'test'" in nearest


def test_agreement_without_pictures_and_with_a_file(lines: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "nodes.npy", np.float32([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]))
    by_file = json.loads(
        run(lines, "--agreement", "line", "--features", tmp_path / "nodes.npy", "--json").stdout
    )
    assert list(by_file) == ["random", "khop", "hop_mean", "ppr", "the default"]
    (lines / "nodes.csv").write_text("id,text,line\n001,x,a\n002,x,a\n003,x,a\n006,x,b\n")
    bare = json.loads(run(lines, "--agreement", "line", "--json").stdout)
    assert list(bare) == ["random", "khop", "hop_mean", "ppr"]


@pytest.mark.parametrize(
    ("column", "problem"),
    [("lin", "no column 'lin'. did you mean 'line'"), ("blank", "no target has a blank")],
)
def test_agreement_of_a_column_that_is_no_label(lines: Path, column: str, problem: str) -> None:
    text = (lines / "nodes.csv").read_text().splitlines()
    (lines / "nodes.csv").write_text("\n".join([f"{text[0]},blank", *(f"{line}," for line in text[1:])]))
    with pytest.raises(InputError, match=f"(?i){problem}"):
        run(lines, "--agreement", column)


def test_what_every_sampler_chooses(lines: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    target = load_graph(lines).nodes.ids[0]
    answer = as_json(lines, "--target", target, "--compare", "--picture", sheet)
    chosen = answer["neighbors"]
    assert isinstance(chosen, dict)
    assert {"random", "ppr", "semantic (text)"} <= set(chosen)
    assert all(target not in nodes for nodes in chosen.values())
    assert chosen["ppr"] == ids(as_json(lines, "--target", target, *PPR))
    with Image.open(sheet) as drawn:
        assert drawn.height > 128 * len(chosen)  # a line for each sampler
    text = run(lines, "--target", target, "--compare", "--picture", sheet).stdout
    assert "neighbors, best first" in text
    assert f"sheet: {sheet}" in text.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sampler", "ppr"], "--compare: it compares all samplers"),
        (["--picture", "sheet.txt"], "does not end like a picture file"),
    ],
)
def test_what_cannot_be_compared(lines: Path, options: list[str], message: str) -> None:
    target = load_graph(lines).nodes.ids[0]
    with pytest.raises(InputError, match=message):
        run(lines, "--target", target, "--compare", *options)
