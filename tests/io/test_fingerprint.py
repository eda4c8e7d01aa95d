from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from graphcond import samplers, worlds
from graphcond.errors import InputError
from graphcond.io.fingerprint import code_of, file_digest, fingerprint, module_version, source_version

part = st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers(), max_size=3))


@given(st.lists(part, max_size=4), st.lists(part, max_size=4))
def test_equal_parts_have_equal_names_and_others_do_not(one: list[object], other: list[object]) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == ([repr(p) for p in one] == [repr(p) for p in other])


def test_arrays_count_by_content_shape_and_type(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int64)
    np.save(tmp_path / "a.npy", array)
    assert fingerprint(array) == fingerprint(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert fingerprint(array[::2]) == fingerprint(array[::2].copy())
    others = [array.reshape(2, 3), array.astype(np.int32), array + 1, array[:0], np.zeros((0, 3), np.int64)]
    assert len({fingerprint(one) for one in [array, *others]}) == 6


def test_networks_count_by_weights_and_config() -> None:
    torch.manual_seed(0)
    network = nn.Linear(2, 2)
    name = module_version(network, {"a": 1, "b": 2})
    assert name == module_version(network, {"b": 2, "a": 1})
    assert name != module_version(network, {"a": 1, "b": 3})
    assert name != module_version(network.to(torch.bfloat16), {"a": 1, "b": 2})


def test_packages_count_by_their_source() -> None:
    assert source_version(worlds) == source_version(worlds)
    assert source_version(worlds) != source_version(samplers)


def test_files_count_by_content(tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(text)
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b") != file_digest(tmp_path / "c")
    with pytest.raises(InputError, match="no such file"):
        file_digest(tmp_path / "missing")


def test_a_new_wording_is_the_same_code() -> None:
    code = (
        b'"""Old."""\n\nWIDTH = 3\n"""Old."""\n\n\ndef f(x: int) -> int:\n    """Old."""\n    return x + 1\n'
    )
    worded = b'"""New."""\n\nWIDTH = 3  # pixels\n\n\ndef f(\n    x: int,\n) -> int:\n    return x + 1\n'
    assert code_of(code) == code_of(worded)
    for changed in (code.replace(b"x + 1", b"x + 2"), code.replace(b"= 3", b'= "3"')):
        assert code_of(code) != code_of(changed)


def test_a_device_has_no_digest() -> None:
    with pytest.raises(InputError, match="is not a regular file"):
        file_digest(Path("/dev/zero"))
