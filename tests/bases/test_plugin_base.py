"""A base from another package, in the ordinary commands; and packages that are broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    SanaPipeline,
)
from graphcond_sana.base import SanaBase
from graphcond_sana.config import SanaConfig
from PIL import Image

from graphcond.bases.config import BaseFacts
from graphcond.bases.noise_process import Diffusion, Flow
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import FEATURE_WIDTH, small_recipe
from tests.plugins import write_package

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/your_own_base"
CPU = torch.device("cpu")

COMMANDS = """
import contextlib, importlib, io, json, sys
commands, module = json.loads(sys.argv[1])
if module:
    importlib.import_module(module)
from graphcond.cli import main
told = []
for arguments in commands:
    sys.argv = ["graphcond", *arguments]
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
    told.append([code, out.getvalue(), err.getvalue(), "torch" in sys.modules])
print(json.dumps(told))
"""


class Told(NamedTuple):
    """What a command ends with."""

    code: int
    out: str
    err: str
    torch: bool


def graphcond(site: Path, *commands: list[str], first: str = "") -> list[Told]:
    """Run commands in one process that finds the packages of ``site``, after importing ``first``."""
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", COMMANDS, json.dumps([commands, first])]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Told(*one) for one in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which that of the example is installed."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((group, points),) = project["entry-points"].items()
    ((name, target),) = points.items()
    write_package(folder, "graphcond_sana", EXAMPLE / "graphcond_sana", {group: f"{name} = {target}"})
    return folder


def write_recipe(file: Path, sana_folder: Path, **changes: Any) -> Path:
    """The recipe of the example, small, over the random base and the world of paintings."""
    recipe = yaml.safe_load((EXAMPLE / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["base"] |= {"model": str(sana_folder), "tokens": 40}
    recipe["data"] = {"kind": "world", "paintings_per_artist": 4}
    recipe["features"] = {"kind": "tiny"}
    recipe["conditions"][0]["sampler"]["similarity"] = {"kind": "consensus"}
    recipe["training"] = {"steps": 2, "batch_size": 4, "mixed_precision": "no", "previews": 1}
    recipe["training"] |= {"preview_steps": 2, "validation_samples": 4, "checkpoint_every": 1}
    file.write_text(yaml.safe_dump(recipe | changes), encoding="utf-8")
    return file


def test_it_trains_resumes_saves_loads_and_draws(site: Path, sana_folder: Path, tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path / "recipe.yaml", sana_folder))
    run, picture = tmp_path / "run", tmp_path / "star.png"
    told = graphcond(
        site,
        ["recipe", "check", recipe],
        ["train", recipe, "--out", str(run), "--device", "cpu"],
        ["train", "--resume", str(run), "--set", "training.steps=3", "--device", "cpu"],
        ["generate", str(run / "final"), "--prompt", "a star", "--steps", "2", "--out", str(picture)],
        first="graphcond_sana.config",
    )
    assert [one.code for one in told] == [0] * 4, told
    assert "neighbors: semantic_ppr > neighbor_mean > prompt_tokens" in told[0].out
    with Image.open(picture) as drawn:
        assert drawn.size == (64, 64)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {line.get("step") for line in lines} >= {2, 3}
    assert (run / "final/lora/pytorch_lora_weights.safetensors").is_file()
    saved = json.loads((run / "final/graphcond.json").read_text())["recipe"]["base"]
    assert (saved["kind"], saved["model"], saved["tokens"]) == ("sana", str(sana_folder), 40)


@pytest.fixture
def base(sana_folder: Path) -> SanaBase:
    return SanaConfig(model=str(sana_folder), tokens=40).build(device=CPU)


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}


@pytest.mark.parametrize(
    "scheduler", [FlowMatchEulerDiscreteScheduler(shift=3.0), DPMSolverMultistepScheduler(**FLOW)]
)
def test_a_picture_without_graph_is_that_of_diffusers(base: SanaBase, scheduler: Any) -> None:
    pipe = GraphPipeline(GraphModel(base, [], feature_width=FEATURE_WIDTH))
    assert pipe.transformer is pipe.components["transformer"] is base.transformer
    pipe.scheduler = type(scheduler).from_config(scheduler.config)
    options = {"num_inference_steps": 3, "guidance_scale": 4.5, "height": 64, "width": 96}
    ours = pipe(
        "a star", negative_prompt="tree", output_type="latent", generator=torch.manual_seed(7), **options
    ).images
    theirs = SanaPipeline(
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        vae=base.vae,
        transformer=base.transformer,
        scheduler=scheduler,
    )
    theirs.set_progress_bar_config(disable=True)
    text, negative = base.encode_prompt(["a star"]), base.encode_prompt(["tree"])
    expected = theirs(
        negative_prompt=None,
        prompt_embeds=text.hidden,
        prompt_attention_mask=text.present,
        negative_prompt_embeds=negative.hidden,
        negative_prompt_attention_mask=negative.present,
        output_type="latent",
        generator=torch.manual_seed(7),
        use_resolution_binning=False,
        **options,
    ).images
    assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
def test_an_addition_lies_between_the_attentions(base: SanaBase) -> None:
    (site, *_), (block, *_) = base.sites("block").values(), base.transformer.transformer_blocks
    features, added = torch.randn(2, 2, 12, site.width)
    text, times = torch.randn(2, 5, site.width), torch.zeros(2, 6, site.width)
    times[:, 2] = -block.scale_shift_table[2]  # closes the gate of self-attention, which then adds nothing
    rest = {"encoder_hidden_states": text, "timestep": times.flatten(1), "height": 3, "width": 4}
    expected = block(features + added, **rest)
    handle = site.attach(lambda seen: added)
    torch.testing.assert_close(block(features, **rest), expected)
    handle.remove()
    assert (block(features, **rest) - expected).abs().max() > 1e-2


MISFITS: dict[str, dict[str, Any]] = {
    "'controlnet' needs sites of the kind encoder_level, the base 'sana' has block, cross_attention": {
        "sampler": {"kind": "scene_triples"},
        "encoder": {"kind": "layout"},
        "injector": {"kind": "controlnet"},
    },
    "'graph_qformer' with these settings starts from a CLIP text encoder, and the base 'sana' has none": {
        "encoder": {"kind": "graph_qformer", "init": "clip"}
    },
    "training.min_snr_gamma: min-SNR weights are not defined": {"training": {"min_snr_gamma": 5.0}},
    "base.attention: expected 'auto' or 'sdpa', got 'xformers'": {"base": {"attention": "xformers"}},
    "base.tokns: unknown key, did you mean 'tokens'?": {"base": {"tokns": 5}},
}


def test_what_does_not_fit_it_is_told_before_torch_is_loaded(
    site: Path, sana_folder: Path, tmp_path: Path
) -> None:
    files = []
    for number, changes in enumerate(MISFITS.values()):
        file = write_recipe(tmp_path / f"{number}.yaml", sana_folder)
        recipe = yaml.safe_load(file.read_text())
        for section, values in changes.items():
            if section in recipe:
                recipe[section] |= values
            else:
                recipe["conditions"][0][section] = values
        file.write_text(yaml.safe_dump(recipe))
        files.append(file)
    told = graphcond(site, *(["recipe", "check", str(file)] for file in files))
    for expected, one in zip(MISFITS, told, strict=True):
        assert (one.code, one.torch) == (2, False)
        assert expected in one.err


def test_a_folder_with_an_epsilon_scheduler_is_refused(site: Path, sana_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sana_folder, tmp_path / "sana"))
    DDIMScheduler().save_pretrained(folder / "scheduler")
    recipe = write_recipe(tmp_path / "recipe.yaml", folder)
    (told,) = graphcond(site, ["recipe", "check", str(recipe)])
    assert told.code == 2
    assert (
        "a base of the kind 'sana' predicts flow, the scheduler in its files is one for epsilon" in told.err
    )
    with pytest.raises(InputError, match="expected one for flow matching, got DDIMScheduler"):
        SanaConfig(model=str(folder)).build(device=CPU)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('no kernels here')", "cannot be imported: no kernels here"),
        ("class SanaConfig: pass", "is not a BaseFields config that names its `sites`"),
        (
            "from graphcond.bases.config import BaseFields\nclass SanaConfig(BaseFields): kind: str = 'sana'",
            "is not a BaseFields config that names its `sites`",
        ),
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, source: str, said: str) -> None:
    write_package(tmp_path, "broken", source, {"graphcond.bases": "sana = broken:SanaConfig"})
    (told,) = graphcond(tmp_path, ["recipe", "check", "instructg2i"])
    assert told.code == 2
    assert told.err.startswith("error: plug-in 'broken:SanaConfig' (graphcond.bases): ")
    assert said in told.err
    assert "Traceback" not in told.err


class Boastful(SanaConfig):
    """It says that Sana has skip connections."""

    sites = frozenset({"cross_attention", "block", "encoder_level"})


class Narrow(SanaConfig):
    """It says that tokens are 8 wide."""

    def facts_of(self, parts: Mapping[str, Mapping[str, Any]]) -> BaseFacts:
        return replace(super().facts_of(parts), token_width=8)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            Boastful,
            "base 'sana', sites 'encoder_level': Boastful says True, SanaBase has False",
        ),
        (Narrow, "base 'sana', token_width: Narrow says 8, SanaBase has 24"),
    ],
)
def test_a_config_that_lies_is_found_out_when_a_model_is_built(
    sd_folder: Path, sana_folder: Path, config: type[SanaConfig], said: str
) -> None:
    recipe = small_recipe(sd_folder).model_copy(update={"base": config(model=str(sana_folder), tokens=40)})
    with pytest.raises(InputError) as caught:
        GraphModel.build(recipe, feature_width=FEATURE_WIDTH)
    assert said in str(caught.value)


def test_a_process_is_made_of_its_own_schedulers_alone() -> None:
    with pytest.raises(InputError, match="expected one for diffusion, got FlowMatchEulerDiscreteScheduler"):
        Diffusion(FlowMatchEulerDiscreteScheduler())
    with pytest.raises(InputError, match="expected one for flow matching, got DDIMScheduler"):
        Flow(DDIMScheduler())
