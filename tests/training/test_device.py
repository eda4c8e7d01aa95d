from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from graphcond.errors import InputError
from graphcond.recipe import TrainingConfig
from graphcond.training.device import accelerated, build_accelerator


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none() -> None:
    with pytest.raises(InputError, match="device: the device 'cuda' is not available here"):
        build_accelerator(TrainingConfig(), "cuda")


@pytest.mark.parametrize(
    ("device", "remedy"), [("cuda:1", "CUDA_VISIBLE_DEVICES"), ("cdua", r"(?i)did you mean 'cuda'")]
)
def test_unknown_devices(device: str, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        build_accelerator(TrainingConfig(), device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_precision_that_cannot_run_here() -> None:
    with pytest.raises(InputError, match=r"training\.mixed_precision: 'fp16' cannot run here"):
        build_accelerator(TrainingConfig(mixed_precision="fp16"), "cpu")


def test_two_runs_in_one_process_may_differ_in_precision() -> None:
    for precision in ("no", "bf16", "no"):
        with accelerated(TrainingConfig(mixed_precision=precision), "cpu") as accelerator:
            assert accelerator.mixed_precision == precision
        assert not AcceleratorState._shared_state


def test_an_accelerator_of_the_caller_stays_usable() -> None:
    theirs = Accelerator(cpu=True)
    with accelerated(TrainingConfig(), "cpu"):
        pass
    assert theirs.device.type == "cpu"
    assert theirs.num_processes == 1


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
