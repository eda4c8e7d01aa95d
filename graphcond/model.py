"""A graph-conditioned model: a frozen base, its conditions and an optional LoRA, saved as one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn

from graphcond.adapters import LoraInjector
from graphcond.condition import Condition
from graphcond.errors import InputError
from graphcond.files import atomic_folder, read_json, write_json
from graphcond.model_card import model_card
from graphcond.models import StableDiffusionBase
from graphcond.models.features import ClipExtractor
from graphcond.models.text_features import TextModelExtractor
from graphcond.recipe import Recipe, parse_recipe
from graphcond.recipe.recipe import LORA, ConditionConfig
from graphcond.recipe.sections import (
    ClipFeatures,
    FileFeatures,
    GuidanceConfig,
    TextFeatures,
    TinyBertFeatures,
    TinyFeatures,
)
from graphcond.samplers import SceneSampler, SceneTriplesSampler
from graphcond.types import Context
from graphcond.weights import check_weights, load_tensors

FORMAT = 1
"""Version of the folder layout that `GraphModel.save_pretrained` writes."""

MANIFEST = "graphcond.json"


class GraphModel:
    """A base with its conditions: what a recipe describes, or what was composed by hand.

    Args:
        base: the frozen base.
        conditions: what steers it.
        feature_width: d, width of the embeddings of neighbors or words that the encoders read.
        lora: injected into the base already, or None.
        recipe: the resolved recipe; None for a model composed by hand, which can draw but not be saved.
    """

    def __init__(
        self,
        base: StableDiffusionBase,
        conditions: Iterable[Condition],
        *,
        feature_width: int,
        lora: LoraInjector | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.base, self.lora, self.feature_width = base, lora, feature_width
        self.conditions = {condition.name: condition for condition in conditions}
        self._recipe = recipe

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        *,
        feature_width: int,
        device: torch.device | str = "cpu",
        base: StableDiffusionBase | None = None,
        text_projection: Tensor | None = None,
    ) -> GraphModel:
        """A new, untrained model; initial weights follow the recipe's training seed.

        Args:
            recipe: what to build.
            feature_width: d, width of the neighbor embeddings.
            device: where to put everything.
            base: a loaded base to use in place of loading the recipe's.
            text_projection: of the CLIP that makes the embeddings, for encoders that start from it.

        Raises:
            InputError: the base cannot be loaded, or parts do not fit it.
        """
        device = torch.device(device)
        base = base or recipe.base.build(device=device)
        with _seeded(recipe.training.seed):
            conditions = [
                _build_condition(c, base, feature_width, text_projection).to(device)
                for c in recipe.conditions
            ]
            lora = None if recipe.lora is None else recipe.lora.build()
            if lora is not None:
                lora.inject(base)
        return cls(base, conditions, feature_width=feature_width, lora=lora, recipe=recipe)

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            InputError: the model was composed by hand.
        """
        if self._recipe is None:
            raise InputError(
                "was composed by hand and has no recipe, which this needs",
                place="the model",
                remedy="write its parts as a recipe and build it with GraphModel.build",
            )
        return self._recipe

    @property
    def guidance(self) -> GuidanceConfig:
        """The scales to draw with unless others are given."""
        return GuidanceConfig() if self._recipe is None else self._recipe.guidance

    @property
    def device(self) -> torch.device:
        """Where the base lies."""
        return self.base.device

    def trainable_parameters(self) -> dict[str, dict[str, nn.Parameter]]:
        """What training changes: parameters by name, in one group per condition and one for LoRA."""
        groups = {name: condition.trainable_parameters() for name, condition in self.conditions.items()}
        if self.lora is not None:
            groups[LORA] = self.lora.trainable_parameters()
        return {name: group for name, group in groups.items() if group}

    def load_extractor(self) -> ClipExtractor:
        """The CLIP that gives neighbor embeddings to this model.

        Raises:
            InputError: the recipe reads embeddings from a file, or the CLIP cannot be loaded.
        """
        return load_extractor(self.recipe, device=self.device)

    def load_words(self) -> ClipExtractor | TextModelExtractor:
        """The text encoder that embeds the words of scene graphs for this model.

        Raises:
            InputError: the recipe reads embeddings from a file, or the model cannot be loaded.
        """
        return load_words(self.recipe, device=self.device)

    def reading(self, features: type[Context]) -> dict[str, Condition]:
        """The conditions that read one kind of context, by name."""
        return {name: one for name, one in self.conditions.items() if one.encoder.reads is features}

    def scene_sampler(self, condition: str) -> SceneSampler:
        """The scene sampler of a condition; the default one for a model composed by hand."""
        configs = () if self._recipe is None else self._recipe.conditions
        config: Any = next((one.sampler for one in configs if one.name == condition), None)
        return SceneTriplesSampler() if config is None else config.build()

    def train(self, mode: bool = True) -> None:
        """Switch the trained modules between training and evaluation; the base stays as it is."""
        for condition in self.conditions.values():
            condition.train(mode)
        if self.lora is not None:
            self.lora.train(mode)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as a folder: it appears whole or not at all, without the base's weights."""
        with atomic_folder(Path(folder)) as new:
            for name, condition in self.conditions.items():
                (new / "conditions" / name).mkdir(parents=True)
                _save(condition.encoder, new / "conditions" / name / "encoder.safetensors")
                _save(condition.injector, new / "conditions" / name / "injector.safetensors")
            if self.lora is not None:
                self.lora.save_weights(new / LORA)
            write_json(new / MANIFEST, self._manifest())
            (new / "README.md").write_text(model_card(self.recipe), encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        base: StableDiffusionBase | None = None,
    ) -> GraphModel:
        """Read what `save_pretrained` wrote, from a folder or from the Hugging Face hub.

        Raises:
            InputError: no such model, another format, or weights that do not fit its recipe.
        """
        folder = local_folder(name_or_folder)
        recipe, feature_width = read_manifest(folder)
        model = cls.build(recipe, feature_width=feature_width, device=device, base=base)
        model.load_weights(folder)
        model.train(False)
        return model

    def load_weights(self, folder: Path) -> None:
        """Read the trained weights of a saved model of the same recipe.

        Raises:
            InputError: a file is missing or damaged, or names and shapes do not fit.
        """
        for name, condition in self.conditions.items():
            _load(condition.encoder, folder / "conditions" / name / "encoder.safetensors")
            _load(condition.injector, folder / "conditions" / name / "injector.safetensors")
        if self.lora is not None:
            self.lora.load_weights(folder / LORA)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
        """Save and upload the model; returns the address of the commit."""
        import tempfile

        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            self.save_pretrained(folder)
            return str(
                api.upload_folder(
                    repo_id=repo_id, folder_path=folder, commit_message="Upload graphcond model"
                )
            )

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "feature_width": self.feature_width,
            "nulls": {name: condition.null for name, condition in self.conditions.items()},
            "versions": {
                name: version(name) for name in ("graphcond", "torch", "diffusers", "transformers", "peft")
            },
            "recipe": self.recipe.model_dump(mode="json"),
        }


def load_extractor(recipe: Recipe, *, device: torch.device | str = "cpu") -> ClipExtractor:
    """The CLIP that a recipe's features name; see `GraphModel.load_extractor`."""
    match recipe.features:
        case TinyFeatures():
            return ClipExtractor.from_pretrained("tiny", device=device)
        case ClipFeatures(model=model):
            return ClipExtractor.from_pretrained(model, device=device)
        case FileFeatures(path=path):
            raise InputError(
                "embeddings come from a file, so pictures cannot be embedded",
                place=f"features.path: {path}",
                remedy="generate for nodes of that graph, or use features of kind clip",
            )
        case TextFeatures() | TinyBertFeatures():
            raise InputError(
                f"'{recipe.features.kind}' embeds words, not pictures",
                place="features.kind",
                remedy="use features of kind clip",
            )


def load_words(recipe: Recipe, *, device: torch.device | str = "cpu") -> ClipExtractor | TextModelExtractor:
    """The text encoder that a recipe's features name; see `GraphModel.load_words`."""
    match recipe.features:
        case TextFeatures(model=model):
            return TextModelExtractor.from_pretrained(model, device=device)
        case TinyBertFeatures():
            return TextModelExtractor.from_pretrained("tiny-bert", device=device)
        case FileFeatures(path=path):
            raise InputError(
                "embeddings come from a file, so words cannot be embedded",
                place=f"features.path: {path}",
                remedy="use features of kind clip or text",
            )
        case _:
            return load_extractor(recipe, device=device)


def local_folder(name_or_folder: str | Path) -> Path:
    """The folder of a saved model; a hub id is downloaded.

    Raises:
        InputError: neither a folder nor a model that the hub gives.
    """
    folder = Path(name_or_folder)
    if folder.is_dir():
        return folder
    try:
        return Path(
            snapshot_download(str(name_or_folder), allow_patterns=["*.json", "*.safetensors", "*.md"])
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise InputError(
            "no such model",
            place=name_or_folder,
            remedy="give the folder of a trained model, or a hub id while online",
        ) from error


def read_manifest(folder: Path) -> tuple[Recipe, int]:
    """The recipe of a saved model and the width of the embeddings it reads.

    Raises:
        InputError: the folder is no saved model, or of another format.
    """
    place = folder / MANIFEST
    if not place.is_file():
        raise InputError(f"has no {MANIFEST}", place=folder, remedy="give the folder of a trained model")
    manifest = read_json(place)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(
            f"is of format {found}, this version reads {FORMAT}",
            place=place,
            remedy="use the version that wrote it",
        )
    width = manifest.get("feature_width")
    if not isinstance(width, int) or width < 1:
        raise InputError("names no feature_width", place=place, remedy="save the model again")
    return parse_recipe(manifest.get("recipe"), place=place), width


def _build_condition(
    config: ConditionConfig, base: StableDiffusionBase, feature_width: int, text_projection: Tensor | None
) -> Condition:
    encoder = config.encoder.build(feature_width=feature_width, base=base, text_projection=text_projection)
    injector = config.injector.build(signal_width=getattr(encoder, "signal_width", None))
    injector.inject(base)
    return Condition(config.name, encoder, injector, null=config.null)


def _save(module: nn.Module, file: Path) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if weights:
        save_file(weights, file, metadata={"format": "pt"})


def _load(module: nn.Module, file: Path) -> None:
    wanted = module.state_dict()
    if not wanted:
        return
    found = load_tensors(file)
    check_weights(found, wanted, place=file)
    module.load_state_dict(found)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
