"""The tree of errors, and what each of them prints."""

from __future__ import annotations

import pickle

import pytest

import graphcond
from graphcond.errors import GraphcondError, InputError, StorageError, TrainingError


def test_an_error_is_one_sentence_with_its_place_and_a_remedy() -> None:
    error = InputError("expected a graph, got scene graphs", place="data", remedy="set data.kind to mmag")
    assert str(error) == "data: expected a graph, got scene graphs. Set data.kind to mmag"
    assert (error.problem, error.place) == ("expected a graph, got scene graphs", "data")


@pytest.mark.parametrize("kind", [InputError, StorageError, TrainingError])
def test_every_error_is_caught_as_one(kind: type[GraphcondError]) -> None:
    assert issubclass(kind, graphcond.GraphcondError)
    assert [other for other in (InputError, StorageError, TrainingError) if issubclass(kind, other)] == [kind]


def test_an_error_comes_back_from_a_worker_process() -> None:
    error = StorageError("cannot be written", place="file", remedy="make room")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.remedy) == (StorageError, str(error), "make room")
