"""What was composed by hand is saved with what each part was made of, and made again of that."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from pydantic import TypeAdapter

from graphcond import attach, detach
from graphcond.adapters import INJECTORS, Injector, LoraInjector, PromptTokenInjector
from graphcond.bases import StableDiffusionBase
from graphcond.bases.flux2 import Flux2Base
from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase
from graphcond.condition import Condition
from graphcond.encoders import ENCODERS, GraphQFormerConfig, NeighborMean
from graphcond.errors import InputError, Notice
from graphcond.features.clip import ClipExtractor
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import parse_recipe
from graphcond.saving.composed import ClassConfig, SavedEncoder, SavedInjector, saved_part
from graphcond.saving.model_folder import saved_recipe
from tests.builders import FEATURE_WIDTH, recipe_values, small_base, small_model, some_features
from tests.conformance.parts import INJECTOR_ROWS
from tests.release_folder import write_release_folder

STRANGER = """
import pathlib

import torch
from torch import nn

from graphcond import Encoder, GraphTokens

IMPORTED = pathlib.Path(__file__).with_name("imported")
IMPORTED.touch()


class Mean(Encoder):
    def __init__(self, width, *, token_width, scale=1.0, network=None, **more):
        super().__init__()
        self.read, self.scale = nn.Linear(width, token_width), scale

    def forward(self, context, text):
        tokens = self.read(context.embeddings.mean(1, keepdim=True)) * self.scale
        return GraphTokens(tokens, context.present.any(1, keepdim=True))


def no_encoder(**arguments):
    pathlib.Path(__file__).with_name("called").touch()
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package with an encoder, which is found but not imported."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path / "package")
    yield tmp_path / "package"
    sys.modules.pop("stranger", None)


@pytest.fixture(scope="module")
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


def drawn(pipe: GraphPipeline, **options: Any) -> torch.Tensor:
    options = {"neighbors": some_features(), "num_inference_steps": 2, "output_type": "latent"} | options
    return pipe("a star", generator=torch.Generator().manual_seed(7), **options).images


def base_of(folder: Path) -> StableDiffusionBase:
    return StableDiffusionBase.from_pretrained(str(folder))


class Extractor:
    """Of the user's own; features are given."""

    width = FEATURE_WIDTH


def composed(base: Any, encoder: Any, injector: Any = None) -> GraphPipeline:
    injector = PromptTokenInjector() if injector is None else injector
    injector.inject(base)
    return GraphPipeline.from_parts(base, Condition("neighbors", encoder, injector), extractor=Extractor())


def with_stranger(folder: Path, saved: Path, **arguments: Any) -> torch.Tensor:
    """Save a pipeline with the stranger's encoder; returns what it draws."""
    from stranger import Mean

    base = base_of(folder)
    pipe = composed(base, Mean(FEATURE_WIDTH, token_width=base.facts.token_width, **arguments))
    pipe.save_pretrained(saved)
    (Path(sys.modules.pop("stranger").__file__).with_name("imported")).unlink()
    return drawn(pipe)


def changed(folder: Path, **encoder: Any) -> None:
    """Another encoder in the manifest of a saved model."""
    manifest = json.loads((folder / "graphcond.json").read_text())
    manifest["composition"]["conditions"][0]["encoder"] |= encoder
    (folder / "graphcond.json").write_text(json.dumps(manifest))


def test_parts_of_the_package_need_nothing_to_be_loaded_again(
    sd_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    base, clip = base_of(sd_folder), ClipExtractor.from_pretrained(clip_folder)
    encoder = GraphQFormerConfig(zero_start=False, tokens_per_neighbor=2).build(
        feature_width=clip.width, base=base
    )
    injector = PromptTokenInjector()
    injector.inject(base)
    pipe = GraphPipeline.from_parts(base, Condition("neighbors", encoder, injector), extractor=clip)
    pipe.save_pretrained(tmp_path / "model")
    loaded = GraphPipeline.from_pretrained(tmp_path / "model")
    graph = {"neighbors": some_features(width=clip.width)}
    assert torch.equal(drawn(loaded, **graph), drawn(pipe, **graph))
    assert (drawn(pipe, **graph) - drawn(pipe, neighbors=None)).abs().max() > 1e-3
    assert loaded.extractor.identity == clip.identity
    composition = json.loads((tmp_path / "model/graphcond.json").read_text())["composition"]
    assert composition["base"]["model"] == str(sd_folder)
    (condition,) = composition["conditions"]
    assert condition["encoder"]["kind"] == "graph_qformer"
    assert condition["encoder"]["tokens_per_neighbor"] == 2
    assert condition["injector"] == {
        "kind": "class",
        "path": "graphcond.adapters.prompt_tokens:PromptTokenInjector",
        "arguments": {},
    }
    loaded.save_pretrained(tmp_path / "again")
    again = json.loads((tmp_path / "again/graphcond.json").read_text())["composition"]
    assert again == composition
    by_diffusers = DiffusionPipeline.from_pretrained(tmp_path / "model", trust_remote_code=True)
    assert torch.equal(drawn(by_diffusers, **graph), drawn(pipe, **graph))


def test_a_base_of_the_package_is_named_and_not_where_it_is(tmp_path: Path) -> None:
    base = StableDiffusionBase.from_pretrained("tiny")
    encoder = NeighborMean(feature_width=FEATURE_WIDTH, token_width=base.facts.token_width, tokens=3)
    composed(base, encoder).save_pretrained(tmp_path / "model")
    found = json.loads((tmp_path / "model/graphcond.json").read_text())["composition"]
    assert found["base"]["kind"] == "tiny"
    assert "model" not in found["base"]


@pytest.mark.parametrize(
    ("kind", "folder"), [(StableDiffusionXLBase, "sdxl_folder"), (Flux2Base, "flux2_folder")]
)
def test_other_bases_and_adapters(
    kind: Any, folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base = kind.from_pretrained(str(request.getfixturevalue(folder)))
    injector, lora = PromptTokenInjector(), LoraInjector(rank=2, targets=("to_q",))
    injector.inject(base)
    lora.inject(base)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.copy_(torch.randn_like(parameter))
    encoder = NeighborMean(feature_width=FEATURE_WIDTH, token_width=base.facts.token_width)
    conditions = [Condition("neighbors", encoder, injector)]
    model = GraphModel(base, conditions, feature_width=FEATURE_WIDTH, adapters={"style": lora})
    before = drawn(GraphPipeline(model))
    model.save_pretrained(tmp_path / "model")
    loaded = GraphModel.from_pretrained(tmp_path / "model")
    assert torch.equal(drawn(GraphPipeline(loaded)), before)
    assert list(loaded.adapters) == ["style"]
    another = LoraInjector(rank=3, targets=("to_q",))
    with pytest.raises(InputError, match=r"size|shape"):
        GraphModel.from_pretrained(tmp_path / "model", parts={"style": another})


def test_conditions_of_a_recipe_are_saved_without_it(sd_folder: Path, tmp_path: Path) -> None:
    whole = small_model(sd_folder)
    model = GraphModel(whole.base, whole.conditions.values(), feature_width=whole.feature_width)
    model.save_pretrained(tmp_path / "model")
    loaded = GraphModel.from_pretrained(tmp_path / "model")
    assert torch.equal(drawn(GraphPipeline(loaded)), drawn(GraphPipeline(whole)))
    with pytest.raises(InputError, match="composed by hand and has no recipe"):
        saved_recipe(tmp_path / "model")


def test_a_class_of_others_is_imported_with_consent_only(
    sd_folder: Path, stranger: Path, tmp_path: Path
) -> None:
    before = with_stranger(sd_folder, tmp_path / "model", scale=0.5, more=[1, {"a": None}])
    with pytest.raises(InputError, match=r"outside of graphcond .neighbors.encoder: stranger:Mean") as error:
        GraphPipeline.from_pretrained(tmp_path / "model")
    assert "trust_remote_code=True" in str(error.value)
    assert "parts={'neighbors.encoder': ...}" in str(error.value)
    assert not (stranger / "imported").exists()
    loaded = GraphPipeline.from_pretrained(tmp_path / "model", trust_remote_code=True)
    assert torch.equal(drawn(loaded), before)


def test_diffusers_hands_the_consent_on_and_no_file_gives_it(
    sd_folder: Path, stranger: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    before = with_stranger(sd_folder, model)
    with pytest.raises(ValueError, match="trust_remote_code"):
        DiffusionPipeline.from_pretrained(model)
    index = json.loads((model / "model_index.json").read_text())
    hostile = {**index, "_class_name": "StableDiffusionPipeline", "unet": index["model"]}
    (model / "model_index.json").write_text(json.dumps(hostile))
    with pytest.raises(InputError, match="parts of classes outside of graphcond"):
        DiffusionPipeline.from_pretrained(model)
    assert not (stranger / "imported").exists()
    (model / "model_index.json").write_text(json.dumps(index))
    assert torch.equal(drawn(DiffusionPipeline.from_pretrained(model, trust_remote_code=True)), before)


def test_attaching_takes_consent_and_parts(sd_folder: Path, stranger: Path, tmp_path: Path) -> None:
    with_stranger(sd_folder, tmp_path / "model")
    plain = StableDiffusionPipeline.from_pretrained(sd_folder)
    with pytest.raises(InputError, match="parts of classes outside of graphcond"):
        attach(plain, tmp_path / "model")
    model = attach(plain, tmp_path / "model", trust_remote_code=True).model
    detach(plain)
    encoder, own = model.conditions["neighbors"].encoder, Extractor()
    attached = attach(plain, tmp_path / "model", parts={"encoder": encoder, "extractor": own})
    assert attached.model.conditions["neighbors"].encoder is encoder
    assert attached.pipeline.extractor is own
    detach(plain)
    with pytest.raises(InputError, match="parts, encoder: the model is made already"):
        attach(plain, model, parts={"encoder": encoder})
    assert attach(plain, model, parts={"extractor": own}).pipeline.extractor is own
    detach(plain)


@pytest.mark.parametrize("name", ["encoder", "neighbors.encoder"])
def test_a_part_that_is_given_is_not_made(sd_folder: Path, stranger: Path, tmp_path: Path, name: str) -> None:
    with pytest.warns(Notice, match="neighbors.encoder .stranger:Mean. has arguments that cannot be writ"):
        before = with_stranger(sd_folder, tmp_path / "model", network=torch.nn.Identity())
    with pytest.raises(InputError, match="stranger:Mean cannot be made again: its arguments are not in"):
        GraphPipeline.from_pretrained(tmp_path / "model", trust_remote_code=True)
    from stranger import Mean

    width = base_of(sd_folder).facts.token_width
    parts = {name: Mean(FEATURE_WIDTH, token_width=width)}
    assert torch.equal(drawn(GraphPipeline.from_pretrained(tmp_path / "model", parts=parts)), before)
    parts = {name: Mean(FEATURE_WIDTH + 1, token_width=width)}
    with pytest.raises(InputError, match=r"encoder.safetensors"):
        GraphPipeline.from_pretrained(tmp_path / "model", parts=parts)


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ({"path": "stranger:no_encoder"}, "does not derive from Encoder"),
        ({"path": "stranger:Mean.forward"}, "does not derive from Encoder"),
        ({"path": "stranger:Lost"}, "no attribute 'Lost'"),
        ({"path": "nowhere.to_be:Found"}, "No module named 'nowhere'"),
        ({"path": "graphcond.adapters.prompt_tokens:PromptTokenInjector"}, "does not derive from Encoder"),
        ({"arguments": {"widht": 3}}, "widht|missing"),
        ({"path": "no path"}, "conditions.0.encoder.*path"),
        ({"kind": "graph_qformre", "path": "a:B"}, "graph_qformer"),
    ],
)
def test_a_damaged_or_hostile_file_is_a_sentence(
    sd_folder: Path, stranger: Path, tmp_path: Path, encoder: dict[str, Any], problem: str
) -> None:
    with_stranger(sd_folder, tmp_path / "model")
    changed(tmp_path / "model", **encoder)
    with pytest.raises(InputError, match=problem):
        GraphPipeline.from_pretrained(tmp_path / "model", trust_remote_code=True)
    assert not (stranger / "called").exists()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"encodre": None}, "the model has no part 'encodre'. Did you mean 'encoder'"),
        ({"encoder": torch.nn.Identity()}, "encoder: expected an Encoder, got a Identity"),
        ({"injector": NeighborMean(feature_width=4, token_width=4)}, "expected an Injector"),
    ],
)
def test_wrong_parts_are_sentences(
    sd_folder: Path, tmp_path: Path, parts: dict[str, Any], problem: str
) -> None:
    base = base_of(sd_folder)
    encoder = NeighborMean(feature_width=FEATURE_WIDTH, token_width=base.facts.token_width)
    composed(base, encoder).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=problem):
        GraphPipeline.from_pretrained(tmp_path / "model", parts=parts)


def test_a_model_with_a_recipe_takes_no_parts(sd_folder: Path, tmp_path: Path) -> None:
    small_model(sd_folder).save_pretrained(tmp_path / "model")
    for folder in (tmp_path / "model", write_release_folder(tmp_path / "release")):
        with pytest.raises(InputError, match="parts, encoder: the parts of a model with a recipe"):
            GraphPipeline.from_pretrained(folder, parts={"encoder": None})


def test_an_extractor_and_a_base_of_ones_own_are_given(sd_folder: Path, tmp_path: Path) -> None:
    base = base_of(sd_folder)
    base.loaded_as = None  # as if its networks had been put together in Python
    encoder = NeighborMean(feature_width=FEATURE_WIDTH, token_width=base.facts.token_width)
    pipe = composed(base, encoder)
    pipe.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match=r"a base that was made in Python. Give it: .*base="):
        GraphPipeline.from_pretrained(tmp_path / "model")
    loaded = GraphPipeline.from_pretrained(tmp_path / "model", base=base_of(sd_folder))
    assert torch.equal(drawn(loaded), drawn(pipe))
    with pytest.raises(InputError, match="an extractor that graphcond does not know"):
        _ = loaded.extractor
    own = Extractor()
    given = {"base": base_of(sd_folder), "parts": {"extractor": own}}
    assert GraphPipeline.from_pretrained(tmp_path / "model", **given).extractor is own


def test_names_that_no_folder_can_have_are_refused(sd_folder: Path, tmp_path: Path) -> None:
    base = base_of(sd_folder)
    encoder = NeighborMean(feature_width=FEATURE_WIDTH, token_width=base.facts.token_width)
    conditions = [Condition("../../neighbors", encoder, PromptTokenInjector())]
    with pytest.raises(InputError, match=r"model: conditions.0.name"):
        GraphModel(base, conditions, feature_width=FEATURE_WIDTH).save_pretrained(tmp_path / "model")
    assert not [*tmp_path.iterdir()]


def test_several_conditions_have_parts_of_longer_names(sd_folder: Path, tmp_path: Path) -> None:
    conditions = recipe_values(sd_folder)["conditions"]
    both = [*conditions, conditions[0] | {"name": "others"}]
    recipe = parse_recipe(recipe_values(sd_folder, conditions=both))
    whole = GraphModel.build(recipe, feature_width=FEATURE_WIDTH)
    model = GraphModel(whole.base, whole.conditions.values(), feature_width=FEATURE_WIDTH)
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="no part 'encoder'"):
        GraphModel.from_pretrained(tmp_path / "model", parts={"encoder": None})
    injector = PromptTokenInjector()
    loaded = GraphModel.from_pretrained(tmp_path / "model", parts={"others.injector": injector})
    assert loaded.conditions["others"].injector is injector


def again(saved: dict[str, Any], kinds: Any) -> Any:
    return TypeAdapter(kinds).validate_python(json.loads(json.dumps(saved)))


def shapes(part: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in part.state_dict().items()}


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_is_made_again_of_its_config(base: StableDiffusionBase, kind: str) -> None:
    needs = {"init": "random"} if kind == "graph_qformer" else {}
    encoder = ENCODERS[kind](**needs).build(feature_width=FEATURE_WIDTH, base=base)
    saved = saved_part(encoder, ENCODERS)
    assert saved["kind"] == kind
    made = again(saved, SavedEncoder).build(feature_width=FEATURE_WIDTH, base=base)
    assert shapes(made) == shapes(encoder)


@pytest.mark.parametrize("row", INJECTOR_ROWS)
def test_every_injector_is_made_again_of_its_config_or_its_arguments(
    base: StableDiffusionBase, row: str
) -> None:
    config = INJECTORS[row.split()[0]](**INJECTOR_ROWS[row])
    by_config = config.build()
    assert saved_part(by_config, INJECTORS) == config.model_dump(mode="json")
    names = signature(config.component_class()).parameters
    settings = {name: value for name, value in config if name in names}
    by_hand = config.component_class()(**settings)
    remade = again(saved_part(by_hand, INJECTORS), SavedInjector)
    assert isinstance(remade, ClassConfig)
    made = remade.made(Injector)
    for injector in (by_config, made):
        injector.inject(base)
        found = shapes(injector)
        injector.eject()
        assert found == shapes(by_config)
