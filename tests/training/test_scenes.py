"""Training on scene graphs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond.context import SceneContext, SceneFeatures
from graphcond.errors import InputError
from graphcond.scene_graph import SceneSet
from tests.training.scenes import SCENES, scene_condition, scene_recipe
from tests.training.toys import prepare_toy, run_toy, same, trained_weights

GATED = {
    "encoder": {"kind": "triple_gcn", "predict_boxes": True},
    "injector": {"kind": "gated_self_attention"},
}
CONTROLNET = {"encoder": {"kind": "layout"}, "injector": {"kind": "controlnet"}}


def test_examples_of_scenes(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    prepared, _ = prepare_toy(scene_recipe(sd_folder, clip_folder), scenes)
    assert prepared.train.targets.tolist() == list(range(SCENES - 3))
    assert sorted(prepared.validation.targets.tolist()) == [SCENES - 3, SCENES - 2, SCENES - 1]
    assert prepared.held_out
    assert not prepared.train.pictures.mirrored, "a mirrored picture breaks left of"
    context = prepared.train.contexts["scene"]
    assert isinstance(context, SceneContext)
    assert context.scenes[4].words[: context.scenes[4].objects] == scenes.graphs[4].objects
    batch = prepared.train.batch(np.array([4, 0]), prepared.model.device)
    features = batch.contexts["scene"]
    assert isinstance(features, SceneFeatures)
    assert features.nodes.shape[::2] == (2, 24)
    assert prepared.train.prompts.ids.shape[0] == 2, "the empty prompt and 'an image'"


def test_identity_follows_what_scenes_say(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    def identity(given: SceneSet) -> str:
        return prepare_toy(scene_recipe(sd_folder, clip_folder), given)[0].train.identity

    turned = [replace(graph, relationships=graph.relationships[::-1][:1]) for graph in scenes.graphs]
    full = [
        replace(graph, masks=None if graph.masks is None else np.ones_like(graph.masks))
        for graph in scenes.graphs
    ]
    found = [identity(scenes), *(identity(replace(scenes, graphs=graphs)) for graphs in (turned, full))]
    assert len(set(found)) == 3
    assert identity(scenes) == found[0]


@pytest.mark.parametrize("parts", [{}, GATED, CONTROLNET], ids=["tokens", "gated", "controlnet"])
def test_a_resumed_run_on_scenes_is_bit_for_bit_the_unbroken_one(
    parts: dict[str, Any], sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    def recipe(steps: int) -> Any:
        return scene_recipe(*(sd_folder, clip_folder), steps=steps, conditions=[scene_condition(**parts)])

    whole = run_toy(recipe(4), scenes, tmp_path / "whole")
    first = run_toy(recipe(2), scenes, tmp_path / "parts")
    assert not same(trained_weights(first), trained_weights(whole))
    resumed = run_toy(recipe(4), scenes, resume=tmp_path / "parts")
    assert same(trained_weights(resumed), trained_weights(whole))
    assert whole.data.scenes is scenes


def test_previews_show_graph_and_picture_side_by_side(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphcond.scenes import draw_graph
    from graphcond.training import preview as module

    sheets: list[dict[str, Any]] = []
    sheet = module.contact_sheet
    monkeypatch.setattr(
        module,
        "contact_sheet",
        lambda rows, **rest: sheets.append({"rows": rows} | rest) or sheet(rows, **rest),
    )
    prepared, _ = prepare_toy(scene_recipe(sd_folder, clip_folder), scenes)
    module.Previews(prepared.validation, 2, 64).write(prepared.model, tmp_path / "one.png")
    module.Previews(prepared.validation, 2, 64).write(prepared.model, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    columns = ("scene graph", "true picture", "no graph", "right graph", "shuffled graph")
    assert sheets[0]["column_labels"] == columns
    for row, target in zip(sheets[0]["rows"], prepared.validation.targets.tolist(), strict=False):
        assert row[0].tobytes() == draw_graph(scenes.graphs[target], 256).tobytes()
        none, right, wrong = (np.asarray(picture, int) for picture in row[2:])
        assert np.abs(none - right).max() > 0
        assert np.abs(right - wrong).max() > 0


PLACING = pytest.mark.parametrize(
    ("parts", "hides"), [({}, False), (GATED, True), (CONTROLNET, True)], ids=["none", "gated", "controlnet"]
)


@PLACING
def test_boxes_are_hidden_where_the_encoder_predicts_them(
    parts: dict[str, Any],
    hides: bool,
    sd_folder: Path,
    clip_folder: Path,
    scenes: SceneSet,
    tmp_path: Path,
) -> None:
    from PIL import Image

    from graphcond.training.preview import Previews
    from graphcond.training.validation import Validation, gap_sentence

    recipe = scene_recipe(sd_folder, clip_folder, conditions=[scene_condition(**parts)])
    for given, expected in ((scenes, hides), (scenes.without_boxes(), False)):
        prepared, accelerator = prepare_toy(recipe, given)
        found = Validation(prepared.validation, recipe.training)(prepared.model, accelerator)
        record = found.record()
        assert (found.boxes_hidden is not None) is expected
        assert ("graph_gap_boxes_hidden" in record) is expected
        assert ("gap_percent_boxes_hidden" in record) is expected
        assert ("with boxes hidden" in gap_sentence(record)) is expected
        Previews(prepared.validation, 1, 64).write(prepared.model, tmp_path / f"{expected}.png")
    if hides:
        with Image.open(tmp_path / "True.png") as wide, Image.open(tmp_path / "False.png") as narrow:
            assert wide.width > narrow.width, "a column more"


def test_hidden_boxes_are_what_a_model_of_graphs_alone_is_shown(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet
) -> None:
    from graphcond.training.validation import Validation

    recipe = scene_recipe(sd_folder, clip_folder, conditions=[scene_condition(**CONTROLNET)])
    losses = []
    for given in (scenes, scenes.without_boxes()):
        prepared, accelerator = prepare_toy(recipe, given)
        drawn = [p for p in prepared.model.conditions["scene"].injector.parameters() if p.requires_grad]
        for parameter in drawn:  # ControlNet begins as nothing
            parameter.data += 0.05
        losses.append(Validation(prepared.validation, recipe.training)(prepared.model, accelerator))
    shown, bare = losses
    assert shown.boxes_hidden == pytest.approx(bare.graph, rel=1e-5)
    assert shown.boxes_hidden != pytest.approx(shown.graph, rel=1e-5)


def test_metrics_show_modules_and_injectors(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    recipe = scene_recipe(sd_folder, clip_folder, steps=2, conditions=[scene_condition(**GATED)])
    run = run_toy(recipe, scenes, tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    line = next(line for line in lines if line["kind"] == "train")
    assert set(line["module_gradient_norms"]["scene"]) == {"encoder", "injector"}
    parts = line["module_gradient_norms"]["scene"].values()
    assert sum(part**2 for part in parts) ** 0.5 == pytest.approx(line["gradient_norms"]["scene"])
    assert line["injectors"]["scene"], "gates are logged"


@pytest.mark.parametrize(("rate", "idle"), [(1e-9, True), (1.0, False)])
def test_a_run_whose_gates_stay_at_zero_says_so(
    rate: float, idle: bool, sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    recipe = scene_recipe(
        *(sd_folder, clip_folder), steps=3, learning_rate=rate, conditions=[scene_condition(**GATED)]
    )
    run = run_toy(recipe, scenes, tmp_path / "run")
    assert bool(run.warnings) is idle
    if idle:
        assert "the graph is not being used: scene: " in run.warnings[0]
        assert '"kind": "warning"' in (run.folder / "metrics.jsonl").read_text()


def test_a_recipe_without_parameters_is_written_at_once(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from graphcond.model import GraphModel

    sentence = scene_condition(encoder={"kind": "sentence"}, injector={"kind": "prompt_tokens"})
    recipe = scene_recipe(*(sd_folder, clip_folder), conditions=[sentence], validate_every=1, preview_every=1)
    run = run_toy(recipe, scenes, tmp_path / "run")
    assert not trained_weights(run)
    assert not (run.folder / "checkpoints").exists()
    assert (run.folder / "previews" / "step-00000000.png").is_file()
    assert "graph_gap" in run.metrics["validation"]
    assert (run.folder / "recipe.yaml").is_file()
    assert GraphModel.from_pretrained(run.folder / "final").conditions.keys() == {"scene"}


def test_a_sampler_that_does_not_read_the_data(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    from tests.training.toys import toy_recipe

    with pytest.raises(InputError, match=r"conditions\.0\.sampler: 'khop' does not read scene graphs"):
        prepare_toy(toy_recipe(sd_folder, clip_folder), scenes)


def test_mirroring_scenes_is_refused(sd_folder: Path, clip_folder: Path) -> None:
    with pytest.raises(InputError, match=r"training\.flip: a mirrored picture breaks the relations"):
        scene_recipe(sd_folder, clip_folder, flip=True)


def test_scenes_without_objects_teach_nothing(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    from graphcond.scene_graph import SceneGraph

    graphs = [SceneGraph(()) if row < 2 else graph for row, graph in enumerate(scenes.graphs)]
    prepared, _ = prepare_toy(scene_recipe(sd_folder, clip_folder), replace(scenes, graphs=graphs))
    assert prepared.left_out == 2
    none = replace(scenes, graphs=[SceneGraph(())] * SCENES)
    with pytest.raises(InputError, match="no training scene has an object"):
        prepare_toy(scene_recipe(sd_folder, clip_folder), none)
