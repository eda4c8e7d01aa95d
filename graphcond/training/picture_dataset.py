"""Pictures with their prompts and contexts as a dataset of torch, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from graphcond.attributed_graph import AttributedGraph
from graphcond.bases.base import Base, LatentMoments
from graphcond.context import Context
from graphcond.data.contexts import AnySource, Sampled
from graphcond.data.dataset import Dataset, as_dataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import Extractors
from graphcond.io.frames import Frame
from graphcond.io.pictures import open_square, picture_size, to_pixels
from graphcond.recipe import Recipe
from graphcond.recipe.pictures import BucketConfig
from graphcond.scene_graph import SceneSet
from graphcond.signals import TextTokens
from graphcond.training.buckets import BucketOrder, frames_in_buckets, table_of_pictures
from graphcond.training.gather import Contexts, has_graph, taken
from graphcond.training.latents import PictureTable, PromptTable, cached_prompts


class Example(NamedTuple):
    """A picture with values in -1..1 and its prompt, or both encoded; and what samplers chose for it."""

    picture: Float[Tensor, "3 height width"] | LatentMoments
    prompt: str | TextTokens
    contexts: Mapping[str, Sampled]


class ExampleBatch(NamedTuple):
    """Examples as `denoising_loss` takes them: ``denoising_loss(model, *batch)``."""

    pictures: Float[Tensor, "b 3 height width"] | LatentMoments
    prompts: list[str] | TextTokens
    contexts: dict[str, Context]


class PictureDataset(TorchDataset[Example]):
    """The targets that have a picture and a graph, for a ``DataLoader`` with `collate` as ``collate_fn``.

    Args:
        data: a graph, a set of scenes, or a dataset.
        sources: the data as each condition reads them, by the condition's name.
        rows: of the targets.
        resolution: side in pixels of the squares to which pictures are padded.
        buckets: sizes for pictures of several proportions, in place of squares; `batches` keeps them apart.
        base: encodes pictures and prompts now, and keeps them in the cache on disk, as `graphcond.train`
            does; without, every item reads its picture file.

    Raises:
        InputError: a row has no picture, no row has a graph, or the base cannot encode such pictures.
    """

    def __init__(
        self,
        data: AttributedGraph | SceneSet | Dataset,
        sources: Mapping[str, AnySource],
        rows: Int64[np.ndarray, " n"],
        *,
        resolution: int,
        buckets: BucketConfig | None = None,
        base: Base | None = None,
    ) -> None:
        self.data, self.sources, self.resolution = as_dataset(data), dict(sources), resolution
        rows = self.data.checked(rows)
        contexts: Contexts = {name: source.sample(rows) for name, source in sources.items()}
        kept = np.flatnonzero(has_graph(contexts))
        if not len(kept):
            raise InputError(
                f"none of the {len(rows)} {self.data.noun}s has {self.data.graph_of}",
                place="rows",
                remedy="name others",
            )
        self.rows, self._contexts = rows[kept], taken(contexts, kept)
        self._boxed = any(sources[name].without_boxes(one) is not None for name, one in contexts.items())
        files = list[tuple[Path, str]]()
        if base is not None or buckets is not None:
            paths = [self._path(place) for place in range(len(kept))]
            files = list(zip(paths, FeatureCache().digests(paths), strict=True))
        self._members: list[Int64[np.ndarray, " _m"]] = [np.arange(len(kept))]
        self._cut: dict[int, list[Frame]] = {}
        if buckets is not None:
            found = list(frames_in_buckets(files, resolution, buckets, training=True))
            self._members = [rows for rows, _ in found]
            for rows, frames in found:
                self._cut |= {row: frames.of(place) for place, row in enumerate(rows.tolist())}
        self._encoded: tuple[PictureTable, PromptTable] | None = None
        if base is not None:
            table = table_of_pictures(base, files, resolution, buckets)
            prompts = cached_prompts(base, [self.data.prompts(row) for row in self.rows.tolist()])
            self._encoded = table, prompts

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, *, device: torch.device | str = "cpu", base: Base | None = None
    ) -> PictureDataset:
        """The training targets of a recipe.

        Its encoders read relations once it is ``recipe.with_relations(pictures.data.relation_names)``.

        Args:
            recipe: names data, splits, features and samplers.
            device: of the networks that embed neighbors or words.
            base: as above.

        Raises:
            InputError: as above; or the data or the features cannot be read.
        """
        data = open_data(recipe.data)
        forbidden = data.forbidden(*recipe.data.forbidden_splits)
        sources = data.views(recipe, Extractors(recipe.features, torch.device(device)), forbidden=forbidden)
        rows, config = data.targets(recipe.data), recipe.data
        return cls(data, sources, rows, resolution=config.resolution, buckets=config.buckets, base=base)

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        return next(iter(self.sources.values())).feature_width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Example:
        """An example; of several crops and of several prompts, torch's generator chooses one."""
        frames, prompts = self._frames(place), self.data.prompts(int(self.rows[place]))
        view, prompt = _any_of(len(frames)), _any_of(len(prompts))
        contexts = taken(self._contexts, np.array([place]))
        if frames:
            shown = [frames[view]]
            contexts = {name: self.sources[name].framed(one, shown) for name, one in contexts.items()}
        if self._encoded is not None:
            table, encoded = self._encoded
            rows = np.array([place])
            mean, std = torch.tensor(table.moments(rows, np.array([view]), None)[0], dtype=torch.float32)
            row = encoded.drawn(rows, np.array([(prompt + 0.5) / len(prompts)]))
            tokens = encoded.tokens(row, torch.device("cpu"))
            return Example(LatentMoments(mean[None], std[None]), tokens, contexts)
        path = self._path(place)
        picture = frames[view].open(path) if frames else open_square(path, self.resolution)
        return Example(torch.from_numpy(to_pixels(picture)), prompts[prompt], contexts)

    def _path(self, place: int) -> Path:
        path = self.data.picture_path(int(self.rows[place]))
        assert path is not None  # the rows are checked
        return path

    def _frames(self, place: int) -> list[Frame]:
        """The frames of a picture; none where it is padded and nothing asks where it lies."""
        if self._cut or not self._boxed:
            return self._cut.get(place, [])
        width, height = picture_size(self._path(place), upright=True)
        return [Frame.padded((height, width), self.resolution)]

    def batches(self, size: int, *, seed: int = 0) -> BucketBatches:
        """Batches of pictures of one size, as the ``batch_sampler`` of a ``DataLoader``.

        Args:
            size: of a batch.
            seed: of their order, which is another one in each epoch.
        """
        return BucketBatches(BucketOrder(seed, self._members, size), len(self), size)

    def collate(self, examples: Sequence[Example]) -> ExampleBatch:
        """A batch of examples, their contexts as encoders read them."""
        pictures, prompts, chosen = zip(*examples, strict=True)
        contexts = {
            name: source.features(type(chosen[0][name]).join([one[name] for one in chosen]))
            for name, source in self.sources.items()
        }
        if self._encoded is None:
            return ExampleBatch(torch.stack(pictures), list(prompts), contexts)
        mean, std = (torch.cat([getattr(one, name) for one in pictures]) for name in ("mean", "std"))
        return ExampleBatch(LatentMoments(mean, std), TextTokens.join(prompts), contexts)


class BucketBatches(Sampler[list[int]]):
    """The batches of a `BucketOrder`, as many in an epoch as there are examples for.

    Args:
        order: of the examples.
        count: of the examples.
        size: of a batch.
    """

    def __init__(self, order: BucketOrder, count: int, size: int) -> None:
        self._order, self._count, self._size, self._epoch = order, count, size, 0

    def __len__(self) -> int:
        return -(-self._count // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        first = self._epoch * len(self)
        self._epoch += 1
        for batch in range(first, first + len(self)):
            yield self._order(np.arange(batch * self._size, (batch + 1) * self._size)).tolist()


def _any_of(count: int) -> int:
    return int(torch.randint(count, ())) if count > 1 else 0
