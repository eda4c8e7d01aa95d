"""A sweep from its file to its table: interrupted, changed, divided, and with rows that fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from graphcond.bases.stable_diffusion import StableDiffusionBase
from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.io.files import default_cache_folder
from graphcond.precompute.work import Share
from graphcond.sweep import SweepState, engine, parse_sweep, run_sweep
from graphcond.sweep.exam import Shared
from graphcond.sweep.rows import RowPlan
from graphcond.training.trainer import Trainer

PLACE = Path("sweep.yaml")


@pytest.fixture(scope="module")
def shared() -> Shared:
    """Networks and data for all sweeps here."""
    return Shared(torch.device("cpu"))


@pytest.fixture
def sweep(shared: Shared, tmp_path: Path) -> Callable[..., SweepState]:
    def run(values: Any, out: str = "out", **options: Any) -> SweepState:
        return run_sweep(parse_sweep(values), PLACE, tmp_path / out, device="cpu", shared=shared, **options)

    return run


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    files = [file for file in sorted(folder.rglob(pattern)) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_second_call_finds_everything(
    values: dict[str, Any],
    sweep: Callable[..., SweepState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values |= {"pictures": {"count": 2}, "seeds": [0, 1]}
    first = sweep(values)
    assert first.results is not None
    assert not first.failed
    written = contents(tmp_path / "out", "*")
    tables = {"table.md", "table.csv", "table.json", "table.png", "differences.csv", "pictures.png"}
    assert tables <= set(written)
    monkeypatch.setattr(engine, "train_row", None)
    monkeypatch.setattr(engine, "score_row", None)
    sweep(values)
    assert contents(tmp_path / "out", "*") == written
    tokens, gates = first.results.groups
    assert (tokens.name, tokens.seeds) == ("tokens", (0, 1))
    assert first.results.reference == "tokens"
    distance = tokens.values["oracle_distance", "graph"]
    assert distance.over_targets.n == 4
    assert distance.over_seeds is not None
    assert distance.over_seeds.n == 2
    assert gates.parts["injector"] == "gated_self_attention"
    assert all(one.processor_seconds is not None and one.processor_seconds > 0 for one in (tokens, gates))
    assert "| processor (s) |" in written["table.md"].decode()
    # One world, one base and one set of networks served all rows.
    text = written["table.md"].decode()
    assert "| tokens | 2 | prompt_tokens |" in text
    assert "over seeds (n = 2)" in text
    assert "no difference shown" in text


def test_an_exam_finds_the_trained_rows(
    values: dict[str, Any],
    sweep: Callable[..., SweepState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values |= {"rows": values["rows"][:1], "pictures": {"count": 2}}
    plain = sweep(values)
    table = (tmp_path / "out" / "table.md").read_bytes()
    monkeypatch.setattr(engine, "train_row", None)
    values |= {"exam": {"data.seed": 5}}
    examined = sweep(values)
    figures = [
        {key: ones[0].targets for key, ones in state.results.groups[0].figures.items()}
        for state in (plain, examined)
        if state.results is not None
    ]
    assert figures[0].keys() == figures[1].keys()
    assert all(figures[0][key] != figures[1][key] for key in figures[0])
    assert not examined.left_over
    assert (tmp_path / "out" / "table.md").read_bytes() == table
    assert "pictures.png" in contents(tmp_path / "out" / "exams" / "data.seed=5", "*")
    monkeypatch.setattr(engine, "score_row", None)
    sweep(values)


def test_a_row_is_trained_once_and_drawn_in_several_ways(
    values: dict[str, Any],
    sweep: Callable[..., SweepState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where workers or machines share the rows; and the curves are drawn."""
    neighbors = "conditions.neighbors.sampler.neighbors"
    time = {"kind": "time", "pictures": 2, "repeats": 2, "steps": 1}
    values |= {"drawn": {neighbors: {"k=1": 1, "k=3": 3}}, "curves": neighbors}
    values |= {"scores": [*values["scores"], time], "rows": values["rows"][:1]}
    trained: list[str] = []
    train_row = engine.train_row

    def counted(plan: RowPlan, shared: Shared) -> None:
        trained.append(plan.row.name)
        train_row(plan, shared)

    monkeypatch.setattr(engine, "train_row", counted)
    done = sweep(values)
    assert done.results is not None
    assert not done.failed
    assert trained == ["k=1, tokens"]
    assert [folder.name.rpartition("-")[0] for folder in (tmp_path / "out" / "runs").glob("[!.]*")] == [
        "tokens"
    ]
    for group in done.results.groups:
        found = group.values["milliseconds", ""].over_targets
        assert (found.n, found.mean > 0) == (2, True)
    assert "curves.png" in contents(tmp_path / "out", "*.png")
    monkeypatch.setattr(engine, "score_row", None)
    sweep(values)
    sent: list[list[str]] = []
    monkeypatch.setattr(
        engine, "perform_all", lambda part, *_, **__: sent.append([plan.row.name for plan in part]) or []
    )
    state = sweep(values | {"seeds": [0, 1]}, "other", jobs=2, share=Share(0, 2))
    assert state.missing
    assert sent == [["k=1, tokens, seed 0"], ["k=3, tokens, seed 0"]]


def test_a_stopped_sweep_goes_on_to_the_same_bytes(
    values: dict[str, Any],
    sweep: Callable[..., SweepState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep(values, "whole")
    cached = in_cache()
    assert {"features.sqlite", "training", "worlds"} <= {Path(name).parts[0] for name in cached}
    step = Trainer._after_step
    steps = 0

    def stop(self: Trainer, *figures: Any) -> None:
        nonlocal steps
        steps += 1
        step(self, *figures)
        if steps == 3:  # in the middle of the second row, after its first checkpoint
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_after_step", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(values, "stopped")
    monkeypatch.undo()
    assert not (tmp_path / "stopped" / "table.md").exists()
    sweep(values, "stopped")
    whole, stopped = (contents(tmp_path / name, "*.safetensors") for name in ("whole", "stopped"))
    assert whole == stopped
    assert any("final" in name for name in whole)
    for pattern in ("scores.json", "differences.csv"):
        assert contents(tmp_path / "whole", pattern) == contents(tmp_path / "stopped", pattern)
    # Other rows over the same data find their pictures, texts and neighbors in the cache too.
    values["set"]["training.learning_rate"] = 5.0e-4
    encoded: list[Any] = []
    monkeypatch.setattr(StableDiffusionBase, "encode_pictures", lambda self, pixels: encoded.append(pixels))
    assert sweep(values, "others").failed == {}
    assert (in_cache(), encoded) == (cached, []), "a second sweep over the same data filled a cache"


def in_cache() -> dict[str, tuple[int, int]]:
    """The files of the cache with their sizes and the times of their last change, but for locks."""
    folder = default_cache_folder()
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
    return {str(f.relative_to(folder)): (f.stat().st_size, f.stat().st_mtime_ns) for f in files}


def test_a_row_that_fails_does_not_stop_the_others(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values["rows"].insert(0, {"name": "half", "set": {"training.mixed_precision": "fp16"}})
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(values))
    command = ["sweep", str(file), "--out", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert "1 of 3 rows failed; 'half': training.mixed_precision: 'fp16' cannot run" in str(caught.value)
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- half failed (seed 0): training.mixed_precision: 'fp16' cannot run here" in text
    assert "| gates |" in text
    # It is the first row, but others are compared with one that has figures.
    assert "Differences to tokens" in text
    monkeypatch.setattr(engine, "train_row", lambda plan, shared: (_ for _ in ()).throw(KeyError("a bug")))
    with pytest.raises(InputError, match="KeyError: 'a bug'"):  # tried again, unlike the rows that are done
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_row_whose_process_died_failed(
    values: dict[str, Any], sweep: Callable[..., SweepState], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not a row that others do: the table is written, and names it."""
    values["scores"] = [{"kind": "labels", "column": "artist", "limit": 5}]
    values["rows"] = [
        {"name": kind, "set": {"conditions.neighbors.sampler": {"kind": kind}}} for kind in ("ppr", "random")
    ]

    def one_dies(plans: Any, config: Any, **options: Any) -> Any:
        yield plans[0], "its process ended with exit code -9"
        yield plans[1], engine.perform(plans[1], config, Shared(torch.device("cpu")))

    monkeypatch.setattr(engine, "perform_all", one_dies)
    state = sweep(values, jobs=2)
    assert (state.failed, state.missing) == ({"ppr": "its process ended with exit code -9"}, ())
    assert "ppr failed (seed 0): its process ended" in (tmp_path / "out" / "table.md").read_text()
    monkeypatch.undo()
    assert sweep(values).failed == {}, "the next call does it"
    assert list((tmp_path / "out").rglob(".*failure*")) == []


def test_rows_that_are_no_longer_in_the_sweep_are_said(
    values: dict[str, Any], sweep: Callable[..., SweepState], tmp_path: Path
) -> None:
    sweep(values)
    said: list[str] = []
    kept = values | {"rows": values["rows"][:1]}
    kept["scores"] = [{**values["scores"][0], "limit": 3}]
    state = sweep(kept, say=said.append)
    (folder,) = state.left_over
    assert folder.name.startswith("gates-")
    assert (folder / "final").is_dir()
    assert any(str(folder) in line and "stays where it is" in line for line in said)
    assert state.results is not None
    assert state.results.groups[0].values["style_accuracy", "graph"].over_targets.n == 3


def test_the_same_row_twice(values: dict[str, Any], sweep: Callable[..., SweepState]) -> None:
    values["rows"].append({"name": "again", "set": {"conditions.neighbors.injector.kind": "prompt_tokens"}})
    with pytest.raises(InputError, match="the rows 'tokens' and 'again' are the same"):
        sweep(values)


def test_data_that_cannot_be_opened_are_said_first(
    values: dict[str, Any], sweep: Callable[..., SweepState], tmp_path: Path
) -> None:
    values["rows"].append({"name": "lost", "set": {"data": {"kind": "mmag", "path": str(tmp_path / "gone")}}})
    with pytest.raises(InputError, match=r"row 'lost': .*gone"):
        sweep(values)
    assert not (tmp_path / "out" / "runs").exists()


def test_whoever_finds_all_rows_writes_the_table(
    values: dict[str, Any], sweep: Callable[..., SweepState], tmp_path: Path
) -> None:
    values["scores"] = [{"kind": "labels", "column": "artist", "limit": 5}]
    values["rows"] = [
        {"name": kind, "set": {"conditions.neighbors.sampler": {"kind": kind}}} for kind in ("ppr", "random")
    ]
    first = sweep(values, share=Share(0, 2))
    assert (first.results, first.missing) == (None, ("random",))
    assert not (tmp_path / "out" / "table.md").exists()
    second = sweep(values, share=Share(1, 2))
    assert second.results is not None
    ppr, random = second.results.groups
    assert ppr.parameters is None  # nothing draws, so nothing is trained
    key = ("same_artist", "")
    assert ppr.values[key].over_targets.mean > random.values[key].over_targets.mean
    chance = random.values["chance_artist", ""].over_targets
    assert 0 < chance.mean < 0.2
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "2/2"], "expected a share below 2, got 2"),
        (["--shard", "half"], "expected a share i/n"),
        (["--jobs", "0"], "expected at least 1, got 0"),
        (["--device", "tpu"], "--device"),
    ],
)
def test_nonsense_on_the_command_line(options: list[str], message: str, tmp_path: Path) -> None:
    command = ["sweep", "rank-and-injector", "--out", str(tmp_path), *options]
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert message in str(caught.value)


class EndsItsProcess:
    """A plan that no worker survives."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_workers_give_the_same_bytes_and_may_die(
    values: dict[str, Any], sweep: Callable[..., SweepState], tmp_path: Path
) -> None:
    from graphcond.sweep.rows import plan_rows, rows_of
    from graphcond.sweep.workers import perform_all

    sweep(values, "alone")
    config = parse_sweep(values)
    plans: list[Any] = plan_rows(
        config, rows_of(config, PLACE), tmp_path / "out", Shared(torch.device("cpu"))
    )
    dying = EndsItsProcess()
    done = list(perform_all([dying, *plans], config, device="cpu", jobs=2, threads=1))  # type: ignore[list-item]
    assert [reason for plan, reason in done if plan is dying] == ["its process ended with exit code 9"]
    assert [reason for plan, reason in done if plan is not dying] == [None, None]
    assert contents(tmp_path / "out", "*.safetensors") == contents(tmp_path / "alone", "*.safetensors")
