"""When the hub is asked, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import diffusers
import pytest
import transformers
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from graphcond.bases.loading import hub_options, quiet_loading


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (None, {}),
        (HfHubHTTPError("no such model", response=Mock()), {}),
        (OfflineModeIsEnabled("offline"), {"local_files_only": True}),
        (TimeoutError(), {"local_files_only": True}),
    ],
    ids=["there", "not there", "offline", "too slow"],
)
def test_only_a_hub_that_is_reached_is_asked_for_files(
    answer: Exception | None, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(self: HfApi, *args: Any, **kwargs: Any) -> None:
        if answer is not None:
            raise answer

    hub_options.cache_clear()
    monkeypatch.setattr(HfApi, "model_info", answered)
    assert hub_options("some/model") == options
    hub_options.cache_clear()


def test_a_folder_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "model_info", lambda *args, **kwargs: pytest.fail("the hub was asked"))
    assert hub_options(str(tmp_path)) == {}


def test_no_library_draws_bars_while_a_base_is_loaded() -> None:
    libraries = (transformers.utils.logging, diffusers.utils.logging)
    before = [one.is_progress_bar_enabled() for one in libraries]
    for one in libraries:
        one.enable_progress_bar()
    with quiet_loading():
        assert not any(one.is_progress_bar_enabled() for one in libraries)
    assert all(one.is_progress_bar_enabled() for one in libraries)
    for one, enabled in zip(libraries, before, strict=True):
        if not enabled:
            one.disable_progress_bar()
