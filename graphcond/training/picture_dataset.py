"""Pictures with their prompts and contexts as a dataset of torch, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from graphcond.attributed_graph import AttributedGraph
from graphcond.bases.base import Base, LatentMoments
from graphcond.context import Context
from graphcond.data.contexts import AnySource, Sampled
from graphcond.data.dataset import Dataset, as_dataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import Extractors
from graphcond.io.pictures import open_square, to_pixels
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.signals import TextTokens
from graphcond.training.gather import Contexts, has_graph, taken
from graphcond.training.latents import PromptTable, cached_latents, cached_prompts


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
        self._encoded: tuple[Float[np.ndarray, "n 2 channels height width"], PromptTable] | None = None
        if base is not None:
            paths = [self.data.picture_path(row) for row in self.rows.tolist()]
            known = [path for path in paths if path is not None]
            files = list(zip(known, FeatureCache().digests(known), strict=True))
            latents = cached_latents(base, files, resolution=resolution, mirrored=False)
            prompts = cached_prompts(base, [self.data.texts[row] for row in self.rows.tolist()])
            self._encoded = latents[:, 0], prompts

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
        rows = data.targets(recipe.data)
        return cls(data, sources, rows, resolution=recipe.data.resolution, base=base)

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        return next(iter(self.sources.values())).feature_width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Example:
        contexts = taken(self._contexts, np.array([place]))
        if self._encoded is not None:
            latents, prompts = self._encoded
            mean, std = torch.tensor(latents[place], dtype=torch.float32)
            tokens = prompts.tokens(prompts.rows[[place]], torch.device("cpu"))
            return Example(LatentMoments(mean[None], std[None]), tokens, contexts)
        row = int(self.rows[place])
        path = self.data.picture_path(row)
        assert path is not None  # the rows are checked
        pixels = torch.from_numpy(to_pixels(open_square(path, self.resolution)))
        return Example(pixels, self.data.texts[row], contexts)

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
