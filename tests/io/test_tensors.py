"""The device that is taken where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.errors import InputError
from graphcond.io.tensors import load_tensors, pick_device


def test_processes_of_one_machine_take_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert pick_device(None) == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device(None) == torch.device("cuda:1")


def test_safetensors_cut_off_in_a_header_that_begins_as_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x80\x02\0\0\0\0\0\0" + b'{"a"')
    with pytest.raises(InputError, match="the file is damaged"):
        load_tensors(tmp_path / "a.safetensors")
