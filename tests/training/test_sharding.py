"""What cannot be divided among processes is refused before anything is loaded or trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from graphcond.errors import InputError
from graphcond.training.device import build_accelerator
from graphcond.training.sharding import shard_base
from tests.training.toys import Toy


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed has nothing to divide here"),
        ({"ACCELERATE_USE_FSDP": "true"}, "the first FSDP cannot"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "the first FSDP cannot"),
        (
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "FSDP cannot keep the base on the CPU here. Leave fsdp_offload_params out",
        ),
    ],
)
def test_launches_that_cannot_be(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], problem: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"accelerate launch: {problem}"):
        build_accelerator(toy().training, "cpu")


def test_bases_that_cannot_be(toy: Toy, sd_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = cast(Any, SimpleNamespace(num_processes=2))
    model = SimpleNamespace(recipe=toy(train_base=True))
    assert not shard_base(cast(Any, model), accelerator), "nobody asked for it"
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(InputError, match=r"training\.train_base: such a base cannot be divided"):
        shard_base(cast(Any, model), accelerator)
    base = {"kind": "stable_diffusion", "model": str(sd_folder), "quantize": "int8"}
    quantized = cast(Any, SimpleNamespace(recipe=toy(base=base)))
    with pytest.raises(InputError, match=r"base\.quantize: such a base cannot be divided"):
        shard_base(quantized, accelerator)
