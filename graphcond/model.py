"""A graph-conditioned model: a frozen base, its conditions and an optional LoRA, saved as one folder."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import ConfigMixin, ModelMixin
from huggingface_hub import HfApi
from torch import Tensor, nn

from graphcond.adapters import Injector
from graphcond.bases import Base
from graphcond.bases.base import check_published
from graphcond.bases.config import DType, Quantize
from graphcond.bases.loading import dtype_name
from graphcond.condition import Condition
from graphcond.context import Context
from graphcond.errors import InputError
from graphcond.features.load import Extractors
from graphcond.io.files import atomic_folder, check_replaceable, write_json, write_text
from graphcond.io.tensors import MISFIT, check_weights, load_weights, pick_device, save_weights
from graphcond.progress import Progress
from graphcond.recipe import Recipe
from graphcond.recipe.recipe import BASE as DENOISER
from graphcond.recipe.recipe import LORA
from graphcond.recipe.sections import AnyFeatures, GuidanceConfig
from graphcond.samplers import SceneSampler, SceneTriplesSampler
from graphcond.saving.base_weights import (
    KEY,
    other_weights,
    read_recorded,
    recorded,
    warn_of_other_weights,
)
from graphcond.saving.bundled import BASE, check_apart, check_there, copy_parts, named_in
from graphcond.saving.composed import KEY as COMPOSITION
from graphcond.saving.composed import (
    Composition,
    Remaker,
    check_imports,
    composition_of,
    parts_of,
    read_composition,
)
from graphcond.saving.instructg2i import Release, is_release, read_release, write_release
from graphcond.saving.model_card import FILE as CARD
from graphcond.saving.model_card import PREVIEW, CardFacts, model_card
from graphcond.saving.model_folder import (
    COMPOSED,
    FORMAT,
    MANIFEST,
    local_folder,
    plain_manifest,
    read_manifest,
    write_index,
)


class GraphModel:
    """A base with its conditions, built from a recipe or composed by hand.

    Args:
        base: the frozen base.
        conditions: the conditions of the base.
        feature_width: d, width of the embeddings of neighbors or words that the encoders read.
        lora: injected into the base already, or None.
        adapters: further updates of the base that are the same for every graph, by name, injected already.
        recipe: the resolved recipe; None for a model composed by hand, which cannot be trained by `train`.
        parts: folders that are saved with the model, since they exist nowhere else;
            see `graphcond.saving.bundled`.
        features: what embeds neighbors and words; the recipe's, or those that the caller embeds with.

    Raises:
        InputError: two conditions have the same name.
    """

    def __init__(
        self,
        base: Base,
        conditions: Iterable[Condition],
        *,
        feature_width: int,
        lora: Injector[Any] | None = None,
        adapters: Mapping[str, Injector[Any]] | None = None,
        recipe: Recipe | None = None,
        parts: Mapping[str, Path] | None = None,
        features: AnyFeatures | None = None,
    ) -> None:
        self.base, self.feature_width = base, feature_width
        self.features = features if recipe is None else recipe.features
        self.adapters: dict[str, Injector[Any]] = {} if lora is None else {LORA: lora}
        self.adapters |= adapters or {}
        given = list(conditions)
        self.conditions = {condition.name: condition for condition in given}
        if len(self.conditions) < len(given):
            raise InputError(
                f"two of the {len(given)} conditions have one name", place="conditions", remedy="rename one"
            )
        self.parts = dict(parts or {})
        self._recipe = recipe
        self.card = CardFacts()
        """Facts for the model card, such as the licence; set it before saving."""

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        *,
        feature_width: int,
        device: torch.device | str = "cpu",
        base: Base | None = None,
        text_projection: Tensor | None = None,
        parts: Mapping[str, Path] | None = None,
        load_init: bool = True,
    ) -> GraphModel:
        """A new, untrained model; initial weights follow the recipe's training seed.

        Args:
            recipe: what to build.
            feature_width: d, width of the neighbor embeddings.
            device: where to put everything.
            base: a loaded base to use in place of loading the recipe's.
            text_projection: of the CLIP that makes the embeddings, for encoders that start from it.
            parts: folders that are saved with the model; see `graphcond.saving.bundled`.
            load_init: read the released weights that parts start from; False where others are loaded after.

        Raises:
            InputError: the base cannot be loaded, or parts do not fit it.
        """
        device = pick_device(device)
        if base is None:
            base = recipe.base.build(device=device)
            check_published(base, recipe.base)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.training.seed)  # not the generators of GPUs
            conditions = []
            for config in recipe.conditions:
                encoder = config.encoder.build(
                    feature_width=feature_width, base=base, text_projection=text_projection
                )
                injector = config.injector.build(signal_width=encoder.signal_width)
                injector.inject(base)
                if load_init:
                    encoder.load_init()
                    injector.load_init()
                condition = Condition(config.name, encoder, injector, null=config.without_graph)
                conditions.append(condition.to(device))
            adapters = {name: config.build() for name, config in recipe.updates.items()}
            for adapter in adapters.values():
                adapter.inject(base)
                if load_init:
                    adapter.load_init()
        return cls(
            base, conditions, feature_width=feature_width, adapters=adapters, recipe=recipe, parts=parts
        )

    def __repr__(self) -> str:
        conditions = (
            f"{name}: {type(one.encoder).__name__} > {type(one.injector).__name__}"
            for name, one in self.conditions.items()
        )
        return f"GraphModel({', '.join((type(self.base).__name__, *conditions, *self.adapters))})"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            InputError: the model was composed by hand.
        """
        if self._recipe is None:
            raise InputError(
                "this needs a recipe, and the model was composed by hand without one",
                remedy="write its parts as a recipe and build it with GraphModel.build",
            )
        return self._recipe

    def drawn_as(self, recipe: Recipe) -> GraphModel:
        """The same parts with the samplers and the scales of another recipe."""
        return GraphModel(
            self.base,
            self.conditions.values(),
            feature_width=self.feature_width,
            adapters=self.adapters,
            recipe=recipe,
            parts=self.parts,
        )

    @property
    def guidance(self) -> GuidanceConfig:
        """The scales to draw with unless others are given."""
        return GuidanceConfig() if self._recipe is None else self._recipe.guidance

    @property
    def lora(self) -> Injector[Any] | None:
        """The LoRA of the recipe's section ``lora``."""
        return self.adapters.get(LORA)

    @property
    def trains_shared(self) -> bool:
        """True if something is trained that acts without a graph, too: the denoiser, or an update of it."""
        return self.trains_base or any(one.trainable_parameters() for one in self.adapters.values())

    @property
    def trains_base(self) -> bool:
        """True if the denoiser is trained, and so belongs to the model; see ``training.train_base``."""
        return self._recipe is not None and self._recipe.training.train_base

    @property
    def device(self) -> torch.device:
        """The device of the base."""
        return self.base.device

    def follow_base(self) -> None:
        """Put what was trained on the device on which the base computes."""
        modules = [*self.conditions.values(), *self.adapters.values()]
        for module in modules:
            if any(parameter.device != self.device for parameter in module.parameters()):
                module.to(self.device)
                vars(self).pop("extractors", None)  # they are loaded again where they are needed

    def trainable_parameters(self) -> dict[str, dict[str, nn.Parameter]]:
        """The trainable parameters by name: groups for conditions, adapters and a trained denoiser."""
        parts: dict[str, Condition | Injector[Any]] = {**self.conditions, **self.adapters}
        groups = {name: part.trainable_parameters() for name, part in parts.items()}
        if self.trains_base:
            groups[DENOISER] = dict(self.base.denoiser.named_parameters())
        return {name: group for name, group in groups.items() if group}

    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters of all groups, for an optimizer."""
        return [parameter for group in self.trainable_parameters().values() for parameter in group.values()]

    def group_of(self, name: str, parameter: str) -> str | None:
        """The group within the group ``name`` of `trainable_parameters` that may have a rate of its own."""
        return self.conditions[name].group_of(parameter) if name in self.conditions else None

    @cached_property
    def extractors(self) -> Extractors:
        """The networks that embed neighbor pictures and words for this model, loaded when first used.

        Raises:
            InputError: the model was composed by hand with an extractor of one's own.
        """
        if self.features is None:
            raise InputError(
                "the model was composed by hand, with an extractor that graphcond does not know",
                place="extractor",
                remedy="give it: GraphPipeline.from_pretrained(..., parts={'extractor': ...})",
            )
        return Extractors(self.features, self.device)

    def reading(self, features: type[Context]) -> dict[str, Condition]:
        """The conditions that read one kind of context, by name."""
        return {name: one for name, one in self.conditions.items() if one.encoder.reads is features}

    def scene_sampler(self, condition: str) -> SceneSampler:
        """The scene sampler of a condition; the default one for a model composed by hand."""
        config = self._sampler_config(condition)
        return SceneTriplesSampler() if config is None else config.build()

    @property
    def resolution(self) -> int:
        """Side, in pixels, of the pictures of training; the base's own for a model composed by hand."""
        return self.base.facts.default_size if self._recipe is None else self._recipe.data.resolution

    def most_neighbors(self, condition: str) -> int | None:
        """The largest number of neighbors that a condition was trained with.

        None for a model composed by hand, where means replace neighbors, and where nothing is trained.
        """
        config = self._sampler_config(condition)
        trained = self.conditions[condition].trainable_parameters()
        return None if config is None or config.averages or not trained else config.neighbors

    def train(self, mode: bool = True) -> None:
        """Switch the trained modules between training and evaluation.

        The base stays in evaluation mode; a denoiser that is trained gets gradients in training.
        """
        for condition in self.conditions.values():
            condition.train(mode)
        for adapter in self.adapters.values():
            adapter.train(mode)
        if self.trains_base:
            self.base.denoiser.requires_grad_(mode)

    def move_to(self, base: Base) -> None:
        """Take the conditions and the adapters out of the base, and attach them to another one.

        Raises:
            InputError: the other base is of other widths, or the model has a denoiser of its own.
        """
        mine, other = self.base.facts.token_width, base.facts.token_width
        if self.trains_base or mine != other:
            problem = f"it was trained for tokens {mine} wide, the base's are {other} wide"
            raise InputError(
                "it has a denoiser of its own" if self.trains_base else problem,
                place="model",
                remedy="use the base that it was trained with",
            )
        self.eject()
        self.base = base
        for injector in (*(one.injector for one in self.conditions.values()), *self.adapters.values()):
            injector.inject(base)
        self.follow_base()

    def eject(self) -> None:
        """Take the conditions and the LoRA out of the base, which another model may then use."""
        for condition in self.conditions.values():
            condition.injector.eject()
        for adapter in self.adapters.values():
            adapter.eject()

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Write the model as a folder: it appears whole or not at all.

        The base's weights are in it only if they exist nowhere else: those of a denoiser that was trained,
        and the parts of `graphcond.saving.bundled`.

        Args:
            folder: where to.
            progress: called while such parts are copied, with megabytes.

        Raises:
            InputError: a part of the model is missing or inside ``folder``, or the folder holds other files.
        """
        check_apart(self.parts, Path(folder))
        check_replaceable(Path(folder), MANIFEST)
        composition = composition_of(self) if self._recipe is None else None
        with atomic_folder(Path(folder)) as new:
            for name, condition in self.conditions.items():
                save_weights(condition.encoder, new / "conditions" / name / "encoder.safetensors")
                condition.injector.save_weights(new / "conditions" / name)
            for name, adapter in self.adapters.items():
                adapter.save_weights(new / _folder_of(name))
            if self.trains_base:
                save_weights(self.base.denoiser, new / self._denoiser_file)
                if isinstance(self.base.denoiser, ConfigMixin):  # then diffusers reads the folder
                    self.base.denoiser.save_config(new / self.base.denoiser_name)
            libraries = ("graphcond", "torch", "diffusers", "transformers", "peft")
            manifest = {
                "feature_width": self.feature_width,
                "nulls": {name: condition.null for name, condition in self.conditions.items()},
                "versions": {name: version(name) for name in libraries},
                KEY: recorded(self.base.weights_version(), own_denoiser=self.trains_base),
            }
            if composition is not None:
                manifest |= {"format": COMPOSED, COMPOSITION: composition.model_dump(mode="json")}
            else:
                copy_parts(self.parts, type(self.recipe.base), new, progress)
                recipe = named_in(self.recipe.model_dump(mode="json"), self.parts)
                manifest |= {"format": FORMAT, "recipe": recipe}
            write_json(new / MANIFEST, manifest)
            write_index(new)
            self.write_card(new)

    def write_card(self, folder: str | Path) -> None:
        """Write the model card into a folder of this model, and the facts in `card` beside it.

        Raises:
            InputError: the folder is not a saved model, or there is no picture where ``card.preview`` says.
        """
        folder, preview = Path(folder), self.card.preview
        manifest = plain_manifest(folder)
        if preview is not None and not preview.is_file():
            raise InputError(
                "there is no such picture", place=preview, remedy="set another preview in model.card, or None"
            )
        groups = self.trainable_parameters().items()
        text = model_card(
            self._recipe or Composition.model_validate(manifest[COMPOSITION]),
            own_parts=tuple(self.parts),
            denoiser=self.base.denoiser_name if self.trains_base else None,
            base_weights=read_recorded(folder),
            parameters={name: sum(p.numel() for p in group.values()) for name, group in groups},
            conditions=tuple(self.conditions.values()),
            facts=self.card,
        )
        write_json(folder / CARD, self.card.values())
        write_text(folder / "README.md", text)
        if preview is not None and preview.resolve() != (folder / PREVIEW).resolve():
            shutil.copyfile(preview, folder / PREVIEW)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        base: Base | str | Path | None = None,
        dtype: DType | torch.dtype | None = None,
        variant: str | None = None,
        quantize: Quantize | None = None,
        parts: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> GraphModel:
        """Read what `save_pretrained` wrote, or a checkpoint in the layout of the InstructG2I release.

        Args:
            name_or_folder: a folder, or an id on the Hugging Face hub.
            device: where to put everything.
            base: a loaded base to use in place of loading the model's, or the folder where its base is now.
            dtype: number format of the base, instead of the recipe's. What was trained stays in float32.
            variant: of the base's weight files, such as ``fp16``, instead of the recipe's.
            quantize: the base's linear layers in fewer bits, ``int8`` or ``nf4``, instead of the recipe's.
            parts: for a model that was composed by hand, new parts to read the weights into, in place of
                those that its file describes: ``encoder`` and ``injector`` (``neighbors.encoder`` of one
                among several conditions), and adapters by their name.
            trust_remote_code: import classes outside of graphcond and PyG that the model's file names.

        Raises:
            InputError: no such model, another format, a base that has moved, weights that do not fit its
                recipe, a base for a model that has a denoiser of its own, a format or variant for a base
                that is loaded already or cannot have it, or a part that is missing or does not fit.
        """
        folder = local_folder(name_or_folder)
        format_ = {"dtype": dtype_name(dtype), "variant": variant, "quantize": quantize}
        changes = {name: value for name, value in format_.items() if value is not None}
        if changes and isinstance(base, Base):
            raise InputError("the base is loaded already", place=", ".join(changes), remedy="leave it out")
        moved = Path(base) if isinstance(base, str | Path) else None
        base = base if isinstance(base, Base) else None
        if parts and (is_release(folder) or plain_manifest(folder)["format"] != COMPOSED):
            raise InputError(
                "the parts of a model with a recipe are made by it",
                place=f"parts, {next(iter(parts))}",
                remedy="leave them out",
            )
        if is_release(folder):
            if moved is not None:
                raise InputError("a release has its own base", place=folder, remedy="leave the base out")
            release = read_release(folder)
            own = release.recipe.base.model_copy(update=changes)
            release = replace(release, recipe=release.recipe.model_copy(update={"base": own}))
            return cls.from_release(release, device=device, base=base)
        manifest = plain_manifest(folder)
        if manifest["format"] == COMPOSED:
            composition = read_composition(folder, base=moved, changes=changes)
            remaker = Remaker(composition, folder / MANIFEST, parts or {}, trust=trust_remote_code)
            base = base or remaker.base(pick_device(device))
            model = cls(
                base,
                remaker.conditions(base),
                feature_width=composition.feature_width,
                adapters=remaker.adapters(base),
                features=composition.features,
            )
            return model._loaded(folder)
        saved = read_manifest(folder, base=moved, changes=changes)
        if not trust_remote_code:
            check_imports(parts_of(saved.recipe), folder / MANIFEST)
        if base is None:
            check_there(saved.recipe, folder / MANIFEST)
        if base is not None and saved.recipe.training.train_base:
            raise InputError(
                "the model has a denoiser of its own, which cannot be put into another's base",
                place=folder,
                remedy="load it without `base`",
            )
        model = cls.build(
            saved.recipe,
            feature_width=saved.feature_width,
            device=device,
            base=base,
            parts=saved.parts,
            load_init=False,
        )
        return model._loaded(folder)

    def _loaded(self, folder: Path) -> GraphModel:
        """This model with the weights and the card of a saved one."""
        self.load_weights(folder)
        self.card = CardFacts.read(folder)
        self.train(False)
        return self

    @classmethod
    def from_release(
        cls, release: Release, *, device: torch.device | str = "cpu", base: Base | None = None
    ) -> GraphModel:
        """A model from a released checkpoint of InstructG2I; arguments as in `from_pretrained`.

        Raises:
            InputError: its base cannot be loaded, or is given and of another width.
        """
        model = cls.build(
            release.recipe,
            feature_width=release.feature_width,
            device=device,
            base=base,
            parts=release.parts,
        )
        model._load_release(release, remedy="load it with its own base")
        model.train(False)
        return model

    def to_release(self, folder: str | Path, *, progress: Progress | None = None) -> None:
        """Write the model in the layout of the InstructG2I release; see `graphcond.saving.instructg2i`.

        Args:
            folder: where to.
            progress: called while the base is copied, with megabytes.

        Raises:
            InputError: the release has no place for a part of the model.
        """
        encoder = next(iter(self.conditions.values())).encoder
        denoiser = self.base.denoiser if self.trains_base else None
        write_release(
            *(Path(folder), self.recipe, encoder, denoiser), lambda: self.extractors.pictures, progress
        )

    def start_from(self, name_or_folder: str | Path) -> None:
        """Take over the trained weights of a model with the same conditions, or of a released checkpoint.

        Args:
            name_or_folder: as for `from_pretrained`. Its null is not taken over, and its base only where
                both train it; a LoRA of this model keeps its own initialization where that one has none.

        Raises:
            InputError: no such model, or its weights do not fit.
        """
        folder = local_folder(name_or_folder)
        if is_release(folder):
            self._load_release(read_release(folder), remedy="take over the sizes of its encoder and its base")
            taken = set[str]()
        else:
            saved = read_manifest(folder).recipe
            taken = self.adapters.keys() & saved.updates.keys()
            self._load_trained(folder, taken, denoiser=self.trains_base and saved.training.train_base)
        for name in self.adapters.keys() - taken:
            self.adapters[name].load_init()

    def load_weights(self, folder: Path) -> None:
        """Read the trained weights of a saved model of the same recipe.

        A model that was trained over other weights of the base gives a `Notice`, if its own fit this one.

        Raises:
            InputError: a file is missing or damaged, or names and shapes do not fit.
        """
        bases = read_recorded(folder), self.base.weights_version()
        reshipped = self._recipe is not None and self._recipe.base.reshipped
        try:
            self._load_trained(folder, self.adapters, denoiser=self.trains_base)
        except InputError as error:
            others = other_weights(*bases, reshipped=reshipped)
            if others is None or not error.problem.startswith(MISFIT):
                raise
            raise InputError(
                f"{error.problem}; the model was trained over {others[0]}",
                place=error.place,
                remedy=others[1],
            ) from error
        warn_of_other_weights(*bases, folder, reshipped=reshipped)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
        """Save and upload the model; returns the address of the commit."""
        import tempfile

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            self.save_pretrained(folder)  # before a repository is made for a model that cannot be saved
            api.create_repo(repo_id, private=private, exist_ok=True)
            return str(
                api.upload_folder(
                    repo_id=repo_id, folder_path=folder, commit_message="Upload graphcond model"
                )
            )

    def _load_trained(self, folder: Path, adapters: Iterable[str], *, denoiser: bool) -> None:
        for name, condition in self.conditions.items():
            load_weights(condition.encoder, folder / "conditions" / name / "encoder.safetensors")
            condition.injector.load_weights(folder / "conditions" / name)
        for name in adapters:
            self.adapters[name].load_weights(folder / _folder_of(name))
        if denoiser:
            load_weights(self.base.denoiser, folder / self._denoiser_file)

    def _load_release(self, release: Release, *, remedy: str) -> None:
        place = release.parts[BASE]
        if len(self.conditions) > 1:
            raise InputError(
                "the release has one condition, the model several", place=place, remedy="name one only"
            )
        (condition,) = self.conditions.values()
        check_weights(release.encoder, condition.encoder.state_dict(), place=place, remedy=remedy)
        condition.encoder.load_state_dict(release.encoder)

    @property
    def _denoiser_file(self) -> Path:
        return Path(self.base.denoiser_name) / "diffusion_pytorch_model.safetensors"

    def _sampler_config(self, condition: str) -> Any:
        configs = () if self._recipe is None else self._recipe.conditions
        return next((one.sampler for one in configs if one.name == condition), None)


class SavedGraphModel(ModelMixin):
    """What a saved model's ``model_index.json`` names, for diffusers to find `GraphModel.from_pretrained`."""

    trusted: ClassVar[bool] = False

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, folder: str, *, torch_dtype: torch.dtype | None = None, **_: Any
    ) -> GraphModel:
        """The model in ``folder``; diffusers' other options are for the files of networks."""
        return GraphModel.from_pretrained(folder, dtype=torch_dtype, trust_remote_code=cls.trusted)


TRUSTED = f"Trusted{secrets.token_hex(16)}"
"""The class that opens a model whose classes may be imported, under a name that no file can give."""

globals()[TRUSTED] = type(TRUSTED, (SavedGraphModel,), {"trusted": True})


def _folder_of(adapter: str) -> Path:
    """Where a saved model has an adapter; the LoRA of the section ``lora`` has a place of its own."""
    return Path(LORA) if adapter == LORA else Path("adapters") / adapter
