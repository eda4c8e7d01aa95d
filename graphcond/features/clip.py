"""Networks that turn pictures and texts into embeddings: CLIP and DINOv2, frozen, through transformers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor
from transformers import BitImageProcessorPil, CLIPModel, CLIPTokenizer, Dinov2Model

from graphcond.bases.config import PACKAGED
from graphcond.errors import InputError
from graphcond.features.networks import clip_processor, load_network, load_pretrained, load_processor
from graphcond.io.files import read_json
from graphcond.io.fingerprint import weights_digest
from graphcond.io.pictures import to_rgb

Item = TypeVar("Item")


@runtime_checkable
class Embedder(Protocol):
    """A network that makes embeddings. Any object with these members is accepted."""

    @property
    def identity(self) -> str:
        """A name that changes whenever the embeddings would: the key under which they are cached."""

    @property
    def width(self) -> int:
        """Length of one embedding."""


@runtime_checkable
class FeatureExtractor(Embedder, Protocol):
    """A network that embeds pictures."""

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> Float32[np.ndarray, "n d"]:
        """One embedding for each picture, not normalized."""


@runtime_checkable
class TextEmbedder(Embedder, Protocol):
    """A network that embeds texts, such as words of scene graphs."""

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """One embedding for each text, not normalized."""


@runtime_checkable
class TextExtractor(FeatureExtractor, TextEmbedder, Protocol):
    """A feature extractor that embeds texts into the same space as pictures."""


class FrozenNetwork(ABC):
    """A transformers model that computes embeddings, batch by batch.

    Args:
        model: the network, on the device and in the dtype it shall run in; it is set to ``eval``.
        name: where the model came from, for people.
        batch_size: how many pictures or texts go through the network at once.
    """

    def __init__(self, model: Any, *, name: str, batch_size: int = 32) -> None:
        self.model = model.eval().requires_grad_(False)
        self.name = name
        self.batch_size = batch_size

    @property
    @abstractmethod
    def width(self) -> int:
        """Length of one embedding."""

    @abstractmethod
    def _preprocessing(self) -> str:
        """The settings, besides the weights, that decide the embeddings."""

    @cached_property
    def identity(self) -> str:
        """The model's name and a fingerprint of its weights, preprocessing and tokenizer."""
        return f"{Path(self.name).name}@{weights_digest(self.model, self._preprocessing())[:24]}"

    @torch.inference_mode()
    def _in_batches(
        self, items: Sequence[Item], encode: Callable[[Sequence[Item]], Tensor]
    ) -> Float32[np.ndarray, "n d"]:
        embeddings = np.empty((len(items), self.width), np.float32)
        for start in range(0, len(items), self.batch_size):
            batch = items[start : start + self.batch_size]
            embeddings[start : start + len(batch)] = encode(batch).float().cpu().numpy()
        check_embeddings(embeddings, self.name)
        return embeddings


def check_embeddings(embeddings: Float32[np.ndarray, "n d"], network: str) -> None:
    """Check that a network gave numbers.

    Raises:
        InputError: it did not; the message names the first picture or text.
    """
    wrong = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(wrong):
        raise InputError(
            f"the embeddings of {len(wrong)} of {len(embeddings)} pictures or texts are not finite, the "
            f"first is number {wrong[0]}",
            place=network,
            remedy="load the network in float32, or check its weights",
        )


class PretrainedExtractor(FrozenNetwork):
    """A transformers model with the preprocessing of its pictures.

    Args:
        processor: transformers' image processor, in its Pillow variant.
        **network: further arguments of `FrozenNetwork`.
    """

    def __init__(self, model: Any, processor: Any, *, name: str, batch_size: int = 32) -> None:
        super().__init__(model, name=name, batch_size=batch_size)
        self.processor = processor

    @property
    def side(self) -> int:
        """Pixels of the shorter side to which pictures are scaled before anything else."""
        return max(int(pixels) for pixels in dict(self.processor.size).values() if pixels)

    @abstractmethod
    def _encode(self, pixels: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        """The embeddings of prepared pictures."""

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> Float32[np.ndarray, "n d"]:
        """One embedding for each picture of any mode, not normalized."""

        def encode(some: Sequence[Image.Image]) -> Float[Tensor, "b d"]:
            plain = [self._plain(picture) for picture in some]
            pixels = self.processor(plain, return_tensors="pt").pixel_values
            return self._encode(pixels.to(self.model.device, self.model.dtype))

        return self._in_batches(pictures, encode)

    def _plain(self, picture: Image.Image) -> Image.Image:
        """The picture in RGB: upright, transparency becomes white."""
        return to_rgb(picture)

    def _preprocessing(self) -> str:
        """The settings, besides the weights, that decide the embeddings."""
        return str(self.processor.to_json_string())


class ClipExtractor(PretrainedExtractor):
    """CLIP: pictures and texts in one space.

    The embeddings are the projected ones (``image_embeds``, ``text_embeds``) before normalization, as
    the InstructG2I release feeds them to its neighbors' projection.
    """

    def __init__(
        self, model: Any, processor: Any, tokenizer: Any, *, name: str, batch_size: int = 32
    ) -> None:
        super().__init__(model, processor, name=name, batch_size=batch_size)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> ClipExtractor:
        """Load a `CLIPModel`: a folder, a hub id, or ``tiny`` or ``emoji`` for one inside the package.

        Without a ``preprocessor_config.json`` pictures are prepared as CLIP's are, at the model's size.

        Raises:
            InputError: the model is missing, damaged, or not a complete CLIP.
        """
        folder, half = PACKAGED[name] / "clip" if name in PACKAGED else name, False
        with suppress(InputError, AttributeError):  # a config that does not say its type fails on loading
            half = read_json(Path(folder) / "config.json").get("model_type") == "clip_vision_model"
        if half:
            problem = "the folder holds the picture half of a CLIP alone"
            remedy = "use features of kind clip_vision, or a whole CLIP"
            raise InputError(problem, place=folder, remedy=remedy)
        model = load_network(CLIPModel, folder, device, dtype)
        processor = clip_processor(folder, model.config.vision_config.image_size)
        tokenizer = load_pretrained(CLIPTokenizer, folder)
        return cls(model, processor, tokenizer, name=str(name))

    @property
    def width(self) -> int:
        """Length of one embedding: CLIP's projection width."""
        return int(self.model.config.projection_dim)

    @property
    def text_projection(self) -> Float[Tensor, "d w"]:
        """CLIP's projection of text states of width w into the shared space, in float32 on the CPU."""
        return self.model.text_projection.weight.detach().float().cpu()

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """One embedding for each text, not normalized; texts are cut to CLIP's text length."""

        def encode(some: Sequence[str]) -> Float[Tensor, "b d"]:
            length = self.model.config.text_config.max_position_embeddings
            tokens = self.tokenizer(
                list(some), padding=True, truncation=True, max_length=length, return_tensors="pt"
            ).to(self.model.device)
            read = self.model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask)
            return self.model.text_projection(read.pooler_output)

        return self._in_batches(texts, encode)

    def _encode(self, pixels: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        return self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output)

    def _preprocessing(self) -> str:
        return super()._preprocessing() + tokenizer_settings(self.tokenizer)


class DinoExtractor(PretrainedExtractor):
    """DINOv2: pictures as the pooled output of the network (its normalized class token)."""

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> DinoExtractor:
        """Load a `Dinov2Model` folder or hub id; only safetensors are read.

        Without a ``preprocessor_config.json`` pictures are scaled to 256 and cropped to 224, as DINOv2's are.

        Raises:
            InputError: the model is missing, damaged, or not a DINOv2.
        """
        model = load_network(Dinov2Model, name, device, dtype)
        processor = load_processor(BitImageProcessorPil, name, size={"shortest_edge": 256})
        return cls(model, processor, name=str(name))

    @property
    def width(self) -> int:
        """Length of one embedding: the network's hidden width."""
        return int(self.model.config.hidden_size)

    def _encode(self, pixels: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        return self.model(pixels).pooler_output


def tokenizer_settings(tokenizer: Any) -> str:
    """The settings that determine how ``tokenizer`` splits a text, independent of its use so far."""
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    del settings["padding"], settings["truncation"]  # what the last call used
    return json.dumps(settings, sort_keys=True)
