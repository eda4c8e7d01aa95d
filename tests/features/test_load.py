"""The networks that a recipe's features name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.load import Extractors
from graphcond.features.text_features import TextModelExtractor
from graphcond.recipe import Recipe
from graphcond.saving.model_folder import saved_recipe
from tests.builders import small_recipe
from tests.release_folder import write_release_folder


@pytest.fixture(scope="module")
def with_vision(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe that reads the picture half of a CLIP."""
    return saved_recipe(write_release_folder(tmp_path_factory.mktemp("release")))


def reading(sd_folder: Path, **features: Any) -> Recipe:
    return small_recipe(sd_folder, features=features)


def test_a_whole_clip_embeds_pictures_and_words(sd_folder: Path, clip_folder: Path) -> None:
    for features in ({"kind": "tiny"}, {"kind": "clip", "model": str(clip_folder)}):
        recipe = reading(sd_folder, **features)
        found = Extractors(recipe.features)
        assert isinstance(found.pictures, ClipExtractor)
        assert found.words is found.clip is found.pictures
    assert found.pictures.name == str(clip_folder)


def test_the_picture_half_embeds_pictures_only(with_vision: Recipe) -> None:
    found = Extractors(with_vision.features)
    assert isinstance(found.pictures, ClipVisionExtractor)
    for name in ("words", "clip"):
        with pytest.raises(InputError, match=r"'clip_vision' embeds pictures only.*kind clip"):
            getattr(found, name)


def test_text_models_embed_words_only(sd_folder: Path) -> None:
    recipe = reading(sd_folder, kind="tiny_bert")
    found = Extractors(recipe.features)
    assert isinstance(found.words, TextModelExtractor)
    for name in ("pictures", "clip"):
        with pytest.raises(InputError, match="'tiny_bert' embeds words, not pictures"):
            getattr(found, name)


def test_the_tiny_clip_that_knows_places_is_another_one(sd_folder: Path) -> None:
    plain, placed = (
        Extractors(reading(sd_folder, kind="tiny", **model).features)
        for model in ({}, {"model": "structure_clip"})
    )
    assert plain.clip.identity != placed.clip.identity
    assert plain.clip.width == placed.clip.width
    assert plain.loaded_from("tiny") is plain.clip
    assert placed.loaded_from("tiny") is None
    with pytest.raises(InputError, match="'clip' or 'structure_clip'"):
        reading(sd_folder, kind="tiny", model="large")


def test_a_file_embeds_nothing_new(sd_folder: Path, tmp_path: Path) -> None:
    recipe = reading(sd_folder, kind="file", path=str(tmp_path / "rows.npy"))
    with pytest.raises(InputError, match="pictures cannot be embedded"):
        _ = Extractors(recipe.features).pictures
    with pytest.raises(InputError, match="words cannot be embedded"):
        _ = Extractors(recipe.features).words


def test_networks_that_are_not_there(sd_folder: Path, tmp_path: Path) -> None:
    for kind in ("clip", "clip_vision", "text"):
        recipe = reading(sd_folder, kind=kind, model=str(tmp_path / "nowhere"))
        with pytest.raises(InputError, match="nowhere"):
            getattr(Extractors(recipe.features), "words" if kind == "text" else "pictures")
