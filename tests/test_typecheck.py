"""Shapes of the package are checked under pytest: these tests fail where the import hook does not work."""

from __future__ import annotations

import ast
from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from graphcond.attributed_graph import EdgeList
from graphcond.objectives.layout import area, overlap
from graphcond.samplers.pagerank.kernels import offer
from graphcond.samplers.ranking import Ranking, best_first
from graphcond.signals import GraphTokens
from scripts.house import PACKAGE, files_of, tree_of
from tests.typecheck import unchecked


@pytest.mark.parametrize(
    "call",
    [
        lambda: best_first(np.arange(3), np.ones(4), 2),
        lambda: EdgeList(np.arange(3), np.arange(4)),
        lambda: Ranking(np.arange(3), np.ones(3)),
        lambda: area(torch.ones(2, 5)),
        lambda: GraphTokens(torch.ones(2, 3, 4), torch.ones(2, 5, dtype=torch.bool)),
    ],
    ids=["function", "dataclass", "named tuple", "alias", "types alone"],
)
def test_arrays_that_do_not_fit_their_annotation_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError):
        call()


def test_arrays_that_fit_are_taken() -> None:
    assert best_first(np.arange(3), np.array([1.0, 3.0, 2.0]), 2).nodes.tolist() == [1, 2]
    assert overlap(torch.rand(3, 1, 4), torch.rand(1, 2, 4)).iou.shape == (3, 2)


def test_nothing_is_checked_where_a_test_says_so() -> None:
    with unchecked():
        assert len(EdgeList(np.arange(3), np.arange(4))) == 3
    with pytest.raises(TypeCheckError):
        EdgeList(np.arange(3), np.arange(4))


def test_kernels_are_compiled_as_they_are() -> None:
    assert offer.py_func.__code__.co_filename.endswith("kernels.py")


def test_a_protocol_can_be_checked_at_run_time() -> None:
    classes = [
        node
        for file in files_of(PACKAGE)
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
    ]
    marks = {node.name: [ast.unparse(mark) for mark in node.decorator_list] for node in classes}
    assert len(marks) > 5
    assert [name for name, mark in marks.items() if "runtime_checkable" not in mark] == []
