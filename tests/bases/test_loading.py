"""When the hub is asked, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from graphcond.bases.loading import hub_options


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
