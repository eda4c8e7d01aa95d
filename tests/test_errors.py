"""The tree of errors, and what each of them prints."""

from __future__ import annotations

import pickle

import pytest

import graphcond
from graphcond.errors import GraphcondError, InputError, StorageError, TrainingError, respelled


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


@pytest.mark.parametrize(
    ("name", "choice", "differs"),
    [
        ("1", "1.0", "how the number is written"),
        ("1.0", "1", "how the number is written"),
        ("1", "001", "how the number is written"),
        ("-07", "-7.00", "how the number is written"),
        ("a", "a ", "blanks"),
        ("a b", "a\u00a0 b", "blanks"),
        ("B000abc", "b000ABC", "capitals"),
        ("caf\u00e9", "cafe\u0301", "how its letters are encoded (Unicode NFC and NFD)"),
        (
            " Caf\u00e9",
            "cafe\u0301",
            "how its letters are encoded (Unicode NFC and NFD) and blanks and capitals",
        ),
        (
            "1234567890123456789012345678901234",
            "01234567890123456789012345678901234.0",
            "how the number is written",
        ),
    ],
)
def test_a_name_in_another_spelling_is_found_and_explained(name: str, choice: str, differs: str) -> None:
    found = respelled(name, ["x", "11", "10", "0", "", choice])
    assert found == f"did you mean '{choice}'? It differs in {differs}"


@pytest.mark.parametrize("name", ["2", "1.5", "ab", "v1.0", "1e0", "", "1234567890123456789012345678901235"])
def test_another_name_is_no_spelling(name: str) -> None:
    assert respelled(name, ["1", "a", "v1", "1234567890123456789012345678901234", name]) is None
