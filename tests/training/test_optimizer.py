from __future__ import annotations

import sys

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from graphcond.errors import InputError
from graphcond.recipe import TrainingConfig
from graphcond.recipe.optimizer import OptimizerConfig
from graphcond.training.muon import MuonAndAdamW
from graphcond.training.optimizer import (
    Averaging,
    Groups,
    build_optimizer,
    clip_gradients,
    gradient_norms,
    optimizer_state,
    restore_optimizer,
    restore_weights,
    set_rates,
    weights_of,
)

SHAPES = {"gate": (), "norm": (3,), "matrix": (3, 2), "kernel": (3, 2, 1, 1)}


def groups(seed: int = 0) -> Groups:
    generator = torch.Generator().manual_seed(seed)
    return {
        "neighbors": {"w": nn.Parameter(torch.randn(3, generator=generator))},
        "lora": {"w": nn.Parameter(torch.randn(2, generator=generator))},
    }


def with_gradients(parameters: Groups, value: float = 1.0) -> Groups:
    for group in parameters.values():
        for parameter in group.values():
            parameter.grad = torch.full_like(parameter, value)
    return parameters


def test_groups_have_their_own_learning_rates() -> None:
    config = TrainingConfig(learning_rate=1e-3, learning_rates={"lora": 1e-4}, weight_decay=0.2)
    optimizer = build_optimizer(groups(), config)
    assert set_rates(optimizer, 0.5) == pytest.approx({"neighbors": 5e-4, "lora": 5e-5})
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-4, 5e-5])
    assert set_rates(optimizer, 1.0) == pytest.approx({"neighbors": 1e-3, "lora": 1e-4})


def test_groups_within_a_group_have_rates_where_the_config_gives_them() -> None:
    parameters = {"scene": {"gate": nn.Parameter(torch.zeros(())), "w": nn.Parameter(torch.zeros(2, 3))}}

    def group_of(name: str, key: str) -> str:
        return "gates" if key == "gate" else "new"

    config = TrainingConfig(learning_rate=1e-3, learning_rates={"scene.gates": 1e-2})
    optimizer = build_optimizer(parameters, config, group_of)
    assert set_rates(optimizer, 1.0) == {"scene.gates": 1e-2, "scene": 1e-3}
    # A run that goes on with other groups keeps the state of every parameter: it is stored by name.
    with_gradients(parameters)
    optimizer.step()
    other = build_optimizer(parameters, TrainingConfig(learning_rate=1e-3))
    restore_optimizer(other, parameters, optimizer_state(optimizer, parameters))
    assert set_rates(other, 1.0) == {"scene": 1e-3}
    for parameter in parameters["scene"].values():
        assert torch.equal(other.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_vectors_do_not_decay() -> None:
    parameters = {
        "scene": {name: nn.Parameter(torch.ones(shape)) for name, shape in SHAPES.items()},
        "lora": {"w": nn.Parameter(torch.ones(2, 2))},
    }
    optimizer = build_optimizer(parameters, TrainingConfig(learning_rate=0.1, weight_decay=0.5))
    with_gradients(parameters, 0.0)
    optimizer.step()
    decayed = [float(p.detach().mean()) for p in parameters["scene"].values()]
    assert decayed == pytest.approx([1.0, 1.0, 0.95, 0.95])
    assert float(parameters["lora"]["w"].detach().mean()) == pytest.approx(0.95)


def test_clipping_covers_all_groups_together() -> None:
    parameters = with_gradients(groups(), 2.0)
    norms, modules = gradient_norms(parameters)
    assert modules == {name: {"w": norm} for name, norm in norms.items()}
    assert norms == pytest.approx({"neighbors": 12**0.5, "lora": 8**0.5})
    assert clip_gradients(parameters, 1.0) == pytest.approx(20**0.5)
    after, _ = gradient_norms(parameters)
    assert after["neighbors"] ** 2 + after["lora"] ** 2 == pytest.approx(1.0, abs=1e-5)
    assert after["neighbors"] / after["lora"] == pytest.approx(norms["neighbors"] / norms["lora"])


def test_state_goes_round() -> None:
    config = TrainingConfig(learning_rate=0.1)
    first, second = groups(), groups(seed=1)
    optimizer, other = build_optimizer(first, config), build_optimizer(second, config)
    with_gradients(first)
    optimizer.step()
    restore_weights(second, weights_of(first))
    restore_optimizer(other, second, optimizer_state(optimizer, first))
    for parameters, one in ((first, optimizer), (second, other)):
        with_gradients(parameters, -0.3)
        one.step()
    for name in first:
        assert torch.equal(first[name]["w"], second[name]["w"])


def test_one_fused_kernel_steps_where_the_device_has_one() -> None:
    parameters = with_gradients(groups())
    optimizer = build_optimizer(parameters, TrainingConfig())
    optimizer.step()
    assert optimizer.defaults["fused"] is True
    elsewhere = {"neighbors": {"w": nn.Parameter(torch.zeros(2, device="meta"))}}
    assert build_optimizer(elsewhere, TrainingConfig()).defaults["fused"] is None


def test_the_fused_kernel_steps_as_the_plain_one() -> None:
    config = TrainingConfig(learning_rate=0.1, weight_decay=0.2)
    first, second = groups(), groups()
    fused, plain = build_optimizer(first, config), build_optimizer(second, config)
    for group in plain.param_groups:
        group["fused"] = None
    for value in (1.0, -0.3, 0.7):
        for parameters, one in ((first, fused), (second, plain)):
            with_gradients(parameters, value)
            one.step()
    for name in first:
        torch.testing.assert_close(first[name]["w"], second[name]["w"])


def test_parameters_that_never_had_a_gradient_have_no_state() -> None:
    parameters = groups()
    optimizer = build_optimizer(parameters, TrainingConfig())
    parameters["lora"]["w"].grad = torch.ones(2)
    optimizer.step()
    state = optimizer_state(optimizer, parameters)
    assert set(state) == {"step/lora/w", "exp_avg/lora/w", "exp_avg_sq/lora/w"}
    other = groups()
    restore_optimizer(build_optimizer(other, TrainingConfig()), other, state)


def optimizer_of(kind: str, parameters: Groups, **settings: object) -> torch.optim.Optimizer:
    optimizer = OptimizerConfig(kind=kind, settings=settings)
    return build_optimizer(parameters, TrainingConfig(learning_rate=0.1, optimizer=optimizer))


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    parameters = {"scene": {name: nn.Parameter(torch.ones(shape)) for name, shape in SHAPES.items()}}
    optimizer = optimizer_of("muon", with_gradients(parameters), momentum=0.5)
    optimizer.step()
    slots = {name: set(optimizer.state[p]) for name, p in parameters["scene"].items()}
    assert slots["matrix"] == {"momentum_buffer"}
    assert slots["gate"] == slots["norm"] == slots["kernel"] == {"step", "exp_avg", "exp_avg_sq"}
    assert {group.get("momentum") for group in optimizer.param_groups} == {0.5, None}
    assert set_rates(optimizer, 0.5) == {"scene": 0.05}
    before = {name: p.detach().clone() for name, p in parameters["scene"].items()}
    set_rates(optimizer, 0.0)
    optimizer.step()
    assert all(torch.equal(p, before[name]) for name, p in parameters["scene"].items())


def test_muon_leaves_matrices_of_a_group_to_adamw() -> None:
    matrices = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    groups = [{"params": matrices[:1], "lr": 0.1}, {"params": matrices[1:], "lr": 0.1, "muon": False}]
    optimizer = MuonAndAdamW(groups)
    for matrix in matrices:
        matrix.grad = torch.ones(3, 4)
    optimizer.step()
    assert [set(optimizer.state[p]) for p in matrices] == [
        {"momentum_buffer"},
        {"step", "exp_avg", "exp_avg_sq"},
    ]


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("adamw8bit", "bitsandbytes.optim", "bitsandbytes"),
        ("lion", "lion_pytorch", "lion-pytorch"),
        ("prodigy", "prodigyopt", "prodigyopt"),
        ("schedule_free", "schedulefree", "schedulefree"),
    ],
)
def test_an_optimizer_that_is_not_installed(
    kind: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    expected = rf"training\.optimizer\.kind: {module} cannot be imported .* `pip install {package}`"
    with pytest.raises(InputError, match=expected):
        optimizer_of(kind, groups())


@pytest.mark.parametrize("kind", ["lion", "prodigy", "schedule_free"])
def test_optimizers_of_others_go_on_where_they_were(kind: str) -> None:
    pytest.importorskip({"lion": "lion_pytorch", "prodigy": "prodigyopt"}.get(kind, "schedulefree"))
    first, second = groups(), groups(seed=1)
    optimizer, other = optimizer_of(kind, first), optimizer_of(kind, second)
    for one in (optimizer, other):
        if isinstance(one, Averaging):
            one.train()
    for value in (1.0, -0.3):
        with_gradients(first, value)
        optimizer.step()
    restore_weights(second, weights_of(first))
    restore_optimizer(other, second, optimizer_state(optimizer, first))
    for value in (0.7, -0.2):
        for parameters, one in ((first, optimizer), (second, other)):
            with_gradients(parameters, value)
            one.step()
    for name in first:
        assert torch.equal(first[name]["w"], second[name]["w"])


def test_bad_optimizers() -> None:
    with pytest.raises(InputError, match=r"'torch\.nn\.Linear' is not a class of torch optimizers"):
        optimizer_of("torch.nn.Linear", groups())
    with pytest.raises(InputError, match=r"'torch\.optim\.Nothing' is not a class"):
        optimizer_of("torch.optim.Nothing", groups())
    with pytest.raises(InputError, match=r"nowhere\.at_all cannot be imported"):
        optimizer_of("nowhere.at_all.Mine", groups())
    with pytest.raises(InputError, match=r"'adamw' does not take its settings .*unexpected.*'rate'"):
        optimizer_of("adamw", groups(), rate=3)
    with pytest.raises(ValidationError, match=r"there is no optimizer 'adamv'\. Did you mean 'adamw'"):
        OptimizerConfig(kind="adamv")
    prodigy = OptimizerConfig(kind="prodigy")
    with pytest.raises(ValidationError, match="prodigy has one rate for all"):
        TrainingConfig(learning_rate=1.0, learning_rates={"lora": 0.5}, optimizer=prodigy)
    with pytest.raises(ValidationError, match="schedule_free averages the weights itself"):
        TrainingConfig(ema=0.9, optimizer=OptimizerConfig(kind="schedule_free"))
