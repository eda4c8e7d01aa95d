"""benchmarks/gpu.sh goes through on a CPU, with tiny shapes; what it says of a GPU, only a GPU can test."""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import _note_unfinished, append, main, outcomes, report, table, unmet
from benchmarks.gpu_parts import (
    FIRST,
    FOLDERS,
    LAST,
    PARTS,
    Figures,
    Items,
    Setup,
    SkippedError,
    compared,
    distance,
    recipe_overrides,
)
from graphcond.adapters import INJECTORS
from graphcond.recipe import shipped_recipes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The tiny checkpoints and the data, written once."""
    setup = Setup(tmp_path_factory.mktemp("gpu"), "cpu", tiny=True)
    for _, write in PARTS["prepare"](setup):
        write()
    return setup


def measured(part: str, item: str, setup: Setup) -> Figures:
    return dict(PARTS[part](setup))[item]()


@pytest.mark.parametrize("kind", INJECTORS)
def test_bf16_keeps_the_gradients_of_every_injector(setup: Setup, kind: str) -> None:
    figures = measured("injectors", f"sd15 {kind}", replace(setup, quick=True))
    (row,) = figures["kernels"]
    assert (row["dtype"], row["kernel"]) == ("bf16", "sdpa")
    assert 0 < row["to_fp32"] < 0.05
    wanted = ["signal"] * (INJECTORS[kind].reads is not None) + ["weights"] * (kind != "prompt_tokens")
    if kind == "references":  # nothing is trained, and pictures of neighbors are no part of a network
        wanted = []
    assert [row["of"] for row in figures["gradients"]] == wanted
    for row in figures["gradients"]:
        assert row["finite"]
        assert row["cosine"] > 0.99
        assert row["zeros"] < 0.05


def test_fp16_loses_gradients_unless_the_loss_is_scaled(setup: Setup) -> None:
    rows = measured("injectors", "sd21 gated_self_attention", setup)["gradients"]
    zeros = {row["dtype"]: row["zeros"] for row in rows if row["of"] == "signal"}
    assert zeros.keys() == {"bf16", "fp16", "fp16 x 2^16"}
    assert zeros["fp16"] > 0.1 > 0.01 > zeros["fp16 x 2^16"]


@pytest.mark.parametrize("name", ["instructg2i", "sgcond-v", "instructg2i-sdxl"])
def test_a_recipe_trains_in_the_precision_it_asks_for(setup: Setup, name: str) -> None:
    figures = measured("recipes", name, setup)
    assert figures["precision"] == "bf16, bf16"
    assert figures["batch"] == "2 x 2"
    assert np.isfinite(figures["loss"])
    assert figures["steps_per_second"] > 0
    assert not (setup.work / "runs" / name).exists()


def test_the_checkpoints_of_recipes_are_there_or_it_is_said_that_they_are_not(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*FIRST, *LAST} <= set(shipped_recipes())
    for model in (one for one in recipe_overrides(setup, "sgcond-v") if ".model=" in one):
        assert Path(model.split("=")[1]).is_dir()
    monkeypatch.delitem(FOLDERS, "google-bert/bert-base-uncased")
    with pytest.raises(SkippedError, match="no shape of google-bert/bert-base-uncased"):
        recipe_overrides(setup, "sgcond-v")


def test_pictures_in_bf16_are_those_in_fp32(setup: Setup) -> None:
    items = dict(PARTS["drawing"](setup))
    first, second = items["sd21 fp32"](), items["sd21 bf16"]()
    assert first["to_fp32"] == 0
    assert 0 < second["to_fp32"] < 8
    assert first["finite"]
    assert second["finite"]


def test_gradients_are_compared_over_all_tensors() -> None:
    wanted = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    same = compared(zip(wanted, wanted, strict=True))
    assert same == {"cosine": 1.0, "norm_ratio": 1.0, "zeros": 0.0, "finite": True}
    lost = compared(zip([torch.tensor([3.0, 5.0]), torch.tensor([[0.0]])], wanted, strict=True))
    assert lost["zeros"] == 0.5
    assert lost["cosine"] == pytest.approx(9 / (5 * 34**0.5))
    assert not compared([(torch.tensor([torch.inf]), torch.tensor([1.0]))])["finite"]
    assert distance(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0])) == pytest.approx(4 / 3)


def test_what_has_no_end_is_reported_with_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "recipes.jsonl"
    for record in ({"item": "one"}, {"item": "one", "figures": {"loss": 0.5}}, {"item": "two"}):
        append(log, record)
    _note_unfinished(log, "the process ended with code -11")
    assert outcomes(log) == {
        "one": {"figures": {"loss": 0.5}},
        "two": {"error": "the process ended with code -11"},
    }
    options = argparse.Namespace(device="cpu", quick=False, work=tmp_path)
    text = report({"recipes": outcomes(log), "compile": {}}, options, 1.0)
    assert "| one |  |  |  |  |  |  | 0.5 |" in text
    assert "- two: failed\n\n      the process ended with code -11\n" in text
    assert text.endswith("Not run: no time was left.\n")


def test_every_part_is_measured_and_shown() -> None:
    assert list(gpu.PARTS) == list(PARTS)


def test_cells() -> None:
    row = {"a": None, "b": True, "c": False, "d": 1 / 3, "e": 7}
    assert table({key: key for key in row}, [("x", row)])[2] == "| x |  | yes | NO | 0.3333 | 7 |"


def test_what_is_missing_is_named() -> None:
    assert list(unmet(["torch", "torch>=999", "no-such-package>=1"]))[1:] == ["no-such-package>=1"]
    assert "torch>=999 (found" in next(iter(unmet(["torch>=999"])))


def test_a_failed_item_is_reported_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = argparse.Namespace(device="cpu", quick=False, work=tmp_path)
    (tmp_path / "records").mkdir()
    calls = []

    def items(setup: Setup) -> Items:
        yield "good", lambda: {"gb": 2.0}
        yield "bad", lambda: fail(RuntimeError("line one\nline two"))
        yield "elsewhere", lambda: fail(SkippedError("no such shape"))

    def fail(error: Exception) -> Figures:
        calls.append(error)
        raise error

    monkeypatch.setitem(PARTS, "prepare", items)
    log = tmp_path / "records" / "prepare.jsonl"
    for _ in range(2):
        assert gpu.work("prepare", options) == 0
        assert len(calls) == 2
    found = outcomes(log)
    assert found["good"]["figures"] == {"gb": 2.0}
    assert found["bad"] == {"error": "RuntimeError\nline one\nline two"}
    assert found["elsewhere"] == {"skipped": "no such shape"}
    gpu.forget_failures(log)
    assert list(outcomes(log)) == ["good"]


@pytest.mark.slow
def test_the_script_goes_through(tmp_path: Path) -> None:
    """In processes of its own, as on a GPU; compiled code is not for jaxtyping's hook."""
    out, work = tmp_path / "section.md", tmp_path / "work"
    command = ["bash", "benchmarks/gpu.sh", "--dry-run", "--quick", "--parts", "prepare,compile,steps"]
    done = subprocess.run(
        [*command, "--work", work, "--out", out], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| transformer blocks | " in out.read_text()
    figures = outcomes(work / "records" / "compile.jsonl")["transformer blocks"]["figures"]
    assert figures["to_eager"] < 0.01
    arms = outcomes(work / "records" / "steps.jsonl")["256 px, batch 16"]["figures"]["arms"]
    assert [arm["arm"] for arm in arms] == ["graphcond", "bare loop", "channels last"]
    assert arms[0]["ratio"] == 1
    assert all(arm["steps_per_second"] > 0 for arm in arms)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--parts", "tests,nothing", "--dry-run"], "no 'nothing'"), ([], "no CUDA device")],
)
def test_bad_arguments_end_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
