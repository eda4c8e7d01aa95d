"""What a caller may hand to the pipeline, and what is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from graphcond.errors import InputError
from graphcond.pipeline import (
    NEIGHBORS,
    GraphPipeline,
    check_choice,
    check_count,
    check_generators,
    check_steps,
    graphs_by_condition,
    texts_of,
)
from tests.builders import small_model, some_features
from tests.typecheck import unchecked

PICTURE = Image.new("RGB", (8, 8))


def test_graphs_in_every_form() -> None:
    features = some_features()
    for given, wanted in [
        ([PICTURE, PICTURE], [[PICTURE, PICTURE]]),
        ((PICTURE,), [[PICTURE]]),
        ([[PICTURE], (PICTURE, PICTURE)], [[PICTURE], [PICTURE, PICTURE]]),
        ([], [[]]),
        ([[], []], [[], []]),
        (features, [features]),
        ([features, [PICTURE]], [features, [PICTURE]]),
    ]:
        assert graphs_by_condition(given, ["a"], NEIGHBORS) == {"a": wanted}
        assert graphs_by_condition({"b": given}, ["a", "b"], NEIGHBORS) == {"b": wanted}
    assert graphs_by_condition(None, ["a"], NEIGHBORS) == {}


@pytest.mark.parametrize(
    "given",
    [PICTURE, "one.png", ["one.png"], [None], 5, torch.zeros(1, 5, 8), [[PICTURE], [None]], {"a": PICTURE}],
    ids=[
        "a picture",
        "a path",
        "paths",
        "nothing",
        "a number",
        "a tensor",
        "nothing in one",
        "a picture by name",
    ],
)
def test_what_is_no_graph(given: Any) -> None:
    with pytest.raises(InputError, match=r"neighbors: a graph is a list of pictures, not .* Give a list"):
        graphs_by_condition(given, ["a"], NEIGHBORS)


def test_graphs_name_what_they_belong_to() -> None:
    with pytest.raises(InputError, match="mixed"):
        graphs_by_condition([PICTURE, None], ["a"], NEIGHBORS)
    with pytest.raises(InputError, match="mapping with keys a, b"):
        graphs_by_condition([PICTURE], ["a", "b"], NEIGHBORS)
    with pytest.raises(InputError, match="there is no condition '1'"):
        graphs_by_condition({1: [PICTURE]}, ["a"], NEIGHBORS)


@pytest.mark.parametrize("given", [None, 5, [], ["a", None], b"a", "lone \ud800"], ids=repr)
def test_what_is_no_prompt(given: Any) -> None:
    with pytest.raises(InputError, match=r"prompt: .* Give a string"):
        texts_of(given, "prompt")


def test_counts_generators_and_choices() -> None:
    for wrong in (0, -1, 1.5, "3", None):
        with pytest.raises(InputError, match=r"copies: .* Use 1 or more"):
            check_count(wrong, "copies")
    with pytest.raises(InputError, match=r"expected at most 1000 steps, .* got 1001"):
        check_steps(1001, 1000)
    for generator, message in [
        ([torch.Generator()], "expected one or 2 generators, got 1"),
        (5, "expected a torch.Generator, got a int"),
        ((), "tuple"),
    ]:
        with pytest.raises(InputError, match=message):
            check_generators(generator, 2)
    check_generators([torch.Generator()] * 2, 2)
    with pytest.raises(InputError, match="Did you mean 'pil'"):
        check_choice("pill", ["pil", "np"], "output_type")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_inference_steps": 1001}, "expected at most 1000 steps"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt: expected at least 1, got 0"),
        ({"output_type": "jpg"}, "output_type"),
        ({"height": 64.0}, "height: expected a whole number, got 64.0"),
        ({"width": -8}, "width: expected at least 1, got -8"),
        ({"generator": [torch.Generator()] * 2}, "expected one or 1 generators, got 2"),
        ({"latents": torch.zeros(1, 4, 8, 9)}, "latents: expected the shape"),
        ({"guidance_scale": float("inf")}, "not all finite"),
        ({"guidance_scale": 1e38}, "no finite values. Use lower scales"),
        ({"neighbors": PICTURE}, "a graph is a list of pictures, not Image"),
        ({"neighbors": [PICTURE], "guidance_mode": "jiont"}, "guidance_mode: there is no 'jiont'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_the_pipeline_refuses(
    sd_folder: Path, clip_folder: Path, options: dict[str, Any], message: str
) -> None:
    pipe = GraphPipeline(small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)}))
    with unchecked(), pytest.raises(InputError) as caught:
        pipe("a star", **{"num_inference_steps": 2, **options})
    assert message in str(caught.value)
