"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.typecheck import check_package

check_package("graphcond")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--attacks", type=int, default=500, metavar="N", help="number of attacks in tests/attacks"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what `tests/attacks` counted; the reports bring it, which also leave the workers of xdist."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    counts = Counter[str]()
    for report in reports:
        if getattr(report, "when", None) == "teardown":
            counts.update(
                {name: number for name, number in report.user_properties if isinstance(number, int)}
            )
    if counts["inputs"] or counts["kills"]:
        differing = f"{counts['different']} end states differ"
        same = differing if counts["different"] else "end state bit-identical"
        killed = f"{counts['lost']} lost, {same}" if counts["kills"] else "none tried"
        terminalreporter.write_line(
            f"{counts['inputs']:,} inputs, {counts['tracebacks']} tracebacks, {counts['hangs']} hangs, "
            f"{counts['half_written']} half-written; {counts['kills']} kills, {killed}"
        )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_accelerator_is_left() -> Iterator[None]:
    """The precision of an accelerator that a test has made does not bind the tests after it."""
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a test caches meets the user's own cache."""
    os.environ["GRAPHCOND_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def sd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny Stable Diffusion 1.x folder: epsilon, cross-attention 32 wide, 64 px."""
    from tests.tiny_checkpoints import write_sd_folder

    return write_sd_folder(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def sd2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny Stable Diffusion 2.x folder: v-prediction, linear projections."""
    from tests.tiny_checkpoints import write_sd_folder

    return write_sd_folder(tmp_path_factory.mktemp("sd2"), prediction="v_prediction")


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny SDXL folder: cross-attention 24 + 32 wide, 64 px."""
    from tests.tiny_checkpoints import write_sdxl_folder

    return write_sdxl_folder(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="session")
def flux2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny FLUX.2 Klein folder: joint attention, context tokens 48 wide, 64 px."""
    from tests.tiny_checkpoints import write_flux2_folder

    return write_flux2_folder(tmp_path_factory.mktemp("flux2"))


@pytest.fixture(scope="session")
def sana_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny folder of Sana's transformer with T5: flow matching, tokens 24 wide, 64 px."""
    from tests.tiny_checkpoints import write_sana_folder

    return write_sana_folder(tmp_path_factory.mktemp("sana"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny CLIP folder, 24 wide, 64 px."""
    from tests.tiny_checkpoints import write_clip_folder

    return write_clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random tiny DINOv2 folder, 32 wide, 64 px."""
    from tests.tiny_checkpoints import write_dino_folder

    return write_dino_folder(tmp_path_factory.mktemp("dino"))
