"""The remedy in an error belongs to what is wrong: bad input, and the problem, place and remedy that it gets.

No row names a cause that the input does not have.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import networkx as nx
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.errors import HFValidationError as NoHubId
from huggingface_hub.errors import RepositoryNotFoundError as NoRepository
from PIL import Image

from graphcond.bases import StableDiffusionBase
from graphcond.bases.config import TINY_FOLDER
from graphcond.bases.loading import load_part
from graphcond.errors import InputError, StorageError, TrainingError
from graphcond.features.embedding_files import load_embeddings
from graphcond.features.networks import load_pretrained
from graphcond.graphs import from_networkx, load_graph
from graphcond.graphs.reading.tabular import read_jsonl, read_table
from graphcond.io.arrays import load_array
from graphcond.io.files import read_json, writing
from graphcond.io.fingerprint import file_digest
from graphcond.io.pictures import open_picture
from graphcond.io.tensors import load_tensors
from graphcond.recipe import load_recipe
from graphcond.recipe.load import check_recipe
from graphcond.samplers.neighbor_file import read_neighbors
from graphcond.saving import model_folder
from graphcond.training.checkpoint import written


def told(error: InputError) -> tuple[str, str, str]:
    return error.problem, str(error.place), error.remedy or ""


@pytest.mark.parametrize(
    ("overrides", "place", "problem"),
    [
        (["training.lr=1e-4"], "--set", "training.lr: unknown key"),
        (["conditions.neighbors.sampler.alhpa=0.1"], "--set", "did you mean 'alpha'"),
        (["training.steps=many"], "--set", "training.steps: "),
        (["guidance.start=1", "guidance.end=0"], "--set", "start must lie before end"),
        (["features.kind=file"], "--set", "features.path: is missing"),
    ],
)
@pytest.mark.parametrize("base", [None, "tiny"])
def test_what_was_typed_is_not_the_fault_of_the_file(
    base: Any, overrides: Sequence[str], place: str, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("instructg2i", base=base, overrides=overrides)
    assert caught.value.place == place
    assert problem in caught.value.problem


def test_what_the_file_says_is_not_the_fault_of_an_override(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\nconditons: []\n")
    with pytest.raises(InputError, match="conditons: unknown key") as caught:
        load_recipe(recipe, overrides=["training.lr=1e-4"])
    assert caught.value.place == recipe


@pytest.mark.parametrize(
    ("written", "steps"), [("1e3", 1000), ("2.5e2", 250), ("1E+2", 100), ("100", 100), ("100.0", 100)]
)
def test_whole_numbers_may_be_powers_of_ten(written: str, steps: int) -> None:
    assert load_recipe("instructg2i", overrides=[f"training.steps={written}"]).training.steps == steps


@pytest.mark.parametrize("written", ["1.5e0", "1e-3", "1e", "e3", "1e3x", "-1e3", "1e99"])
def test_other_numbers_are_no_steps(written: str) -> None:
    with pytest.raises(InputError, match=r"training\.steps: "):
        load_recipe("instructg2i", overrides=[f"training.steps={written}"])


def test_a_warm_up_longer_than_the_training_is_noted() -> None:
    settings = ["training.warmup=500", "training.steps=100"]
    (note,) = check_recipe("instructg2i", base="tiny", overrides=settings).notes()
    assert note.startswith("training.warmup: 500 steps are more than the 100 of the training")
    assert "20%" in note
    assert not check_recipe("instructg2i", base="tiny").notes()
    staged = ["stages.structure.warmup=9", "stages.structure.steps=3"]
    (note,) = load_recipe("sgcond-ii", base="tiny", overrides=staged).notes()
    assert note.startswith("stages.0.warmup: 9 steps are more than the 3")


def test_a_small_factor_of_the_rate_that_prodigy_finds_is_noted() -> None:
    prodigy = ["training.optimizer.kind=prodigy"]
    (note,) = check_recipe("instructg2i", base="tiny", overrides=prodigy).notes()
    assert "prodigy finds the rate itself and multiplies it by" in note
    assert not check_recipe(
        "instructg2i", base="tiny", overrides=[*prodigy, "training.learning_rate=1"]
    ).notes()


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in "01":
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    return folder


LINE = {"center": "0.png", "text": "a", "neighbors": ["1.png"]}


@pytest.mark.parametrize("missing", ["center", "text", "neighbors"])
def test_a_missing_key_is_the_one_to_name(metadata: Path, missing: str) -> None:
    (metadata / "metadata.jsonl").write_text(json.dumps({k: v for k, v in LINE.items() if k != missing}))
    with pytest.raises(InputError) as caught:
        load_graph(metadata)
    problem, place, remedy = told(caught.value)
    assert f"'{missing}' is missing" in problem
    assert place.endswith("metadata.jsonl:1")
    assert f"--column {missing}=" in remedy


@pytest.mark.parametrize("kind", ["metadata", "tables"])
def test_an_absolute_path_inside_the_folder_is_inside(metadata: Path, kind: str, tmp_path: Path) -> None:
    """And the folder can be moved after it."""
    if kind == "metadata":
        line = {**LINE, "center": str(metadata / "0.png"), "neighbors": [str(metadata / "1.png")]}
        (metadata / "metadata.jsonl").write_text(json.dumps(line))
    else:
        rows = [f"{name},a,{metadata / name}.png" for name in "01"]
        (metadata / "nodes.csv").write_text("\n".join(["id,text,image", *rows]))
        (metadata / "edges.csv").write_text("src,dst\n0,1\n")
    graph = load_graph(metadata)
    assert list(graph.nodes.pictures) == ["0.png", "1.png"]


@pytest.mark.parametrize("outside", ["/etc/passwd", "{parent}/other.png", "{parent}/mm/0.png", "../m2/0.png"])
def test_a_path_outside_leaves_the_folder(metadata: Path, outside: str) -> None:
    line = {**LINE, "center": outside.format(parent=metadata.parent)}
    (metadata / "metadata.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match="leaves the folder"):
        load_graph(metadata)


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        (None, "expected a number in 'weight' of the edge (2, 3), got None"),
        ("heavy", "expected a number in 'weight' of the edge (2, 3), got 'heavy'"),
        ([1.0], "expected a number in 'weight' of the edge (2, 3), got [1.0]"),
        (float("nan"), "edge 1 has the weight nan"),
        (-1.0, "edge 1 has the weight -1.0"),
    ],
)
def test_a_weight_of_networkx_is_named_by_its_edge(weight: object, problem: str) -> None:
    graph = nx.Graph()
    graph.add_edge(1, 2, weight=1.0)
    graph.add_edge(2, 3, weight=weight)
    with pytest.raises(InputError) as caught:
        from_networkx(graph)
    assert caught.value.problem == problem
    assert str(caught.value.remedy).endswith(">= 0")


HUB = [
    (GatedRepoError("403", response=Mock()), "accept its terms on the hub"),
    (NoRepository("404", response=Mock()), "correct the hub id"),
    (LocalEntryNotFoundError("offline"), "a hub id while online"),
    (NoHubId("odd"), "check the path"),
    (PermissionError(errno.EACCES, "Permission denied"), "allow this user to read"),
    (OSError(errno.ENOSPC, "No space left on device"), "make room on its disk"),
    (ImportError("No module named 'sentencepiece'"), "install what it names"),
    (HfHubHTTPError("502", response=Mock()), "a hub id while online"),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
@pytest.mark.parametrize(("error", "remedy"), HUB, ids=[type(error).__name__ for error, _ in HUB])
def test_why_a_model_does_not_load_decides_the_remedy(
    error: Exception, remedy: str, wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries wrap it in an OSError that guesses at the network, or at the files of the folder."""

    class Broken:
        @staticmethod
        def from_pretrained(*args: Any, **options: Any) -> None:
            try:
                raise error
            except Exception as cause:
                if wrapped:
                    raise OSError("We couldn't connect to 'https://huggingface.co'") from cause
                raise

    monkeypatch.setattr(model_folder, "snapshot_download", Broken.from_pretrained)
    loads = [lambda: load_part(Broken, "some/model", "unet"), lambda: load_pretrained(Broken, "some/model")]
    if not isinstance(error, ImportError):  # which a download does not raise
        loads.append(lambda: model_folder.local_folder("some/model"))
    for load in loads:
        with pytest.raises(InputError) as caught:
            load()
        assert remedy in told(caught.value)[2]


def test_too_little_memory_is_not_the_fault_of_the_files(tmp_path: Path) -> None:
    class Big:
        @staticmethod
        def from_pretrained(*args: Any, **options: Any) -> None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    for load in (lambda: load_part(Big, str(tmp_path), "unet"), lambda: load_pretrained(Big, tmp_path)):
        with pytest.raises(RuntimeError, match="can't allocate"):
            load()


def loop(folder: Path, name: str) -> Path:
    (folder / name).symlink_to(folder / name)
    return folder / name


def a_folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def nothing(folder: Path, name: str) -> Path:
    return folder / name


def a_long_name(folder: Path, name: str) -> Path:
    return folder / f"{'x' * 300}{name}"


READERS: dict[str, Callable[[Path], object]] = {
    "a.json": read_json,
    "a.npy": lambda file: load_embeddings(file, 3),
    "b.npy": lambda file: load_array(file, remedy="check it"),
    "a.safetensors": load_tensors,
    "b.safetensors": read_neighbors,
    "c.safetensors": lambda file: load_embeddings(file, 3),
    "a.pt": lambda file: load_embeddings(file, 3),
    "a.csv": lambda file: read_table(file, {"id": "id"}, ("id",)),
    "b.jsonl": lambda file: read_table(file, {"id": "id"}, ("id",)),
    "a.parquet": lambda file: read_table(file, {"id": "id"}, ("id",)),
    "a.jsonl": lambda file: list(read_jsonl(file)),
    "a.png": open_picture,
    "a.bin": file_digest,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("make", "problem", "remedy"),
    [
        (loop, "the file cannot be read (Too many levels of symbolic links)", "correct the link"),
        (a_folder, "got a folder", "name "),
        (nothing, "no such ", ""),
        (a_long_name, "the file cannot be read (File name too long)", "shorten the name"),
    ],
)
def test_what_cannot_be_opened_is_not_damaged(
    tmp_path: Path, name: str, make: Callable[[Path, str], Path], problem: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        READERS[name](make(tmp_path, name))
    assert problem in caught.value.problem
    assert remedy in (caught.value.remedy or "")
    assert not re.search(r"damaged|decoded|replace|fetch|correct the file", str(caught.value))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room on its disk, or choose another place"),
        (errno.EACCES, "allow this user to write there, or choose another place"),
        (errno.EROFS, "allow this user to write there, or choose another place"),
        (errno.EIO, "choose another place, or make room on its disk"),
    ],
)
def test_what_cannot_be_written_is_told_by_the_system(tmp_path: Path, number: int, remedy: str) -> None:
    with pytest.raises(StorageError) as caught, writing(tmp_path), writing(tmp_path / "inside"):
        raise OSError(number, "refused")
    assert caught.value.remedy == remedy
    with pytest.raises(TrainingError) as stopped, written(tmp_path, tmp_path), writing(tmp_path):
        raise OSError(number, "refused")
    first = remedy.partition(",")[0]
    assert str(stopped.value.remedy).startswith(first if number != errno.EIO else "make room on its disk")


def half(folder: Path) -> Path:
    """The tiny base with fp16 files alone."""
    copy = Path(shutil.copytree(TINY_FOLDER, folder / "half"))
    for file in copy.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    return copy


def single(folder: Path) -> Path:
    return Path(
        shutil.copy(TINY_FOLDER / "unet/diffusion_pytorch_model.safetensors", folder / "one.safetensors")
    )


def cache_root(folder: Path) -> Path:
    shutil.copytree(TINY_FOLDER, folder / "models--me--tiny/snapshots/abc")
    return folder / "models--me--tiny"


def inpainting(folder: Path) -> Path:
    copy = Path(shutil.copytree(TINY_FOLDER, folder / "inpaint"))
    config = json.loads((copy / "unet/config.json").read_text())
    (copy / "unet/config.json").write_text(json.dumps({**config, "in_channels": 9}))
    return copy


def in_a_recipe(folder: str) -> None:
    load_recipe("instructg2i", overrides=[f"base.model={folder}"])


@pytest.mark.parametrize("load", [StableDiffusionBase.from_pretrained, in_a_recipe])
@pytest.mark.parametrize(
    ("make", "problem", "remedy"),
    [
        (half, "found diffusion_pytorch_model.fp16.safetensors", "set base.variant to fp16"),
        (single, "is a single file", "from_single_file"),
        (cache_root, "is the root of a hub cache", "snapshots/abc"),
        (inpainting, "inpainting", "the text-to-picture model that it was made from"),
    ],
)
def test_files_of_a_base_that_are_named_otherwise(
    tmp_path: Path, make: Callable[[Path], Path], problem: str, remedy: str, load: Callable[[str], object]
) -> None:
    folder = str(make(tmp_path))
    with pytest.raises(InputError) as caught:
        load(folder)
    assert problem in caught.value.problem
    assert remedy.lower() in str(caught.value).lower()
