from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from graphcond.errors import InputError
from graphcond.recipe import TrainingConfig
from graphcond.training import device as device_module
from graphcond.training.device import accelerated, build_accelerator, check_compile, text_encoders_apart


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


class Recorded(torch.nn.Module):
    """A network that notes where it is moved, to run without a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.moves = torch.nn.Parameter(torch.zeros(1)), list[str]()

    def to(self, device: Any) -> Recorded:
        self.moves.append(str(device))
        return self

    def forward(self) -> str:
        return self.moves[-1]


def test_text_encoders_leave_the_gpu_until_they_are_called() -> None:
    encoder, vae = Recorded(), Recorded()
    base: Any = SimpleNamespace(components={"text_encoder_2": encoder, "vae": vae})
    with text_encoders_apart(base, torch.device("cuda")) as put_away:
        assert encoder.moves[-1] == "cpu"
        assert encoder() == encoder() == "cuda"
        put_away()
        assert encoder.moves[-1] == "cpu"
    assert encoder.moves[-1] == "cuda"
    assert not hasattr(encoder, "_hf_hook")
    encoder.moves.clear()
    with text_encoders_apart(base, torch.device("cpu")) as put_away:
        put_away()
        encoder.moves.append("here")
        assert encoder() == "here"
    assert encoder.moves == ["here"]
    assert vae.moves == []


def test_compiling_where_torch_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_compiler(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nin a long list of places")

    monkeypatch.setattr(device_module, "BACKEND", without_compiler)
    check_compile(False, torch.device("cpu"))
    with pytest.raises(InputError, match=r"training\.compile: torch cannot compile here .*No working C\+\+"):
        check_compile(True, torch.device("cpu"))


def test_modes_that_record_cuda_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="compile"):
        TrainingConfig(compile="reduce-overhead")
    assert TrainingConfig(compile="max-autotune-no-cudagraphs").compile
