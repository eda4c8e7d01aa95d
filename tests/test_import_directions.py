"""Rooms import only the rooms before them, as the layers in ``scripts/house.py`` say."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.house import PACKAGE, files_of, forbidden_imports

FILES = [file for file in files_of(PACKAGE) if file != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_lies_before_it(file: Path) -> None:
    assert [place.what for place in forbidden_imports(file)] == []
