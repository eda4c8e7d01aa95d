"""Fixtures of the training room."""

from __future__ import annotations

import pytest

from graphcond.attributed_graph import AttributedGraph
from tests.training.toys import write_graph


@pytest.fixture(scope="session")
def toy_graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    """14 paintings in two colors, the last three held out."""
    return write_graph(tmp_path_factory.mktemp("toy"))
