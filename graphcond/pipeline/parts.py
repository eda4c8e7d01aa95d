"""A pipeline of diffusers over the parts of a base: what `GraphPipeline` has from diffusers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Self, cast

from diffusers import DiffusionPipeline, SchedulerMixin
from diffusers.image_processor import VaeImageProcessor

from graphcond.bases import Base
from graphcond.model import TRUSTED, GraphModel


@cache
def _of_family(cls: type, base: type[Base]) -> type:
    """``cls`` with the loaders that diffusers' pipelines of this family of bases have."""
    return type(cls.__name__, (cls, *base.loaders()), {"__module__": cls.__module__})


class ModelPipeline(DiffusionPipeline):
    """A ``DiffusionPipeline`` whose parts are those of a model's base, with the loaders of its family.

    Args:
        model: the model.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->image_encoder->transformer->unet->vae"
    _callback_tensor_inputs = ("latents", "prompt_embeds", "negative_prompt_embeds")

    def __new__(cls, model: GraphModel, *args: Any, **kwargs: Any) -> Self:
        """A pipeline with the loaders of the base's family."""
        made: Self = object.__new__(_of_family(cast("Any", cls), type(model.base)))
        return made

    def __init__(self, model: GraphModel) -> None:
        self.model = model
        self._interrupt, self._num_timesteps, self._guidance_scale = False, 0, model.guidance.text
        self._guidance_rescale = model.guidance.rescale
        self._clip_skip: int | None = None
        self._progress_bar_config = {"disable": None}  # then there is none where no terminal shows it
        self.register_modules(**model.base.components, scheduler=model.base.new_scheduler())
        self.vae_scale_factor = model.base.facts.pixels_per_latent
        self.image_processor = VaeImageProcessor(self.vae_scale_factor)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a part of the base is replaced in the base too."""
        if name in vars(self) and self.model.base.components.get(name) is not None:
            self.model.base.replace(name, value)
        if name == "scheduler" and not isinstance(value, SchedulerMixin):
            object.__setattr__(self, name, value)  # drawing says what is wrong with it
        else:
            super().__setattr__(name, value)

    @classmethod
    def _get_signature_keys(cls, obj: Any) -> tuple[list[str], list[str]]:
        """What diffusers takes for the parts of a pipeline: of this one, those that are registered."""
        if isinstance(obj, type):
            found: tuple[list[str], list[str]] = super()._get_signature_keys(obj)
            return found
        return sorted(name for name in obj.config if not name.startswith("_")), []

    @classmethod
    def extract_init_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> tuple[dict[str, Any], ...]:
        """What diffusers makes this pipeline of.

        It finds this class in a folder's ``model_index.json`` with ``trust_remote_code=True`` alone, and does
        not hand the consent on to the parts.
        """
        found, *others = super().extract_init_dict(config_dict, **kwargs)
        return {**found, "model": [GraphModel.__module__, TRUSTED]}, *others

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the base, in another number format if one is given, and what was trained along with it."""
        super().to(*args, **kwargs)
        self.model.follow_base()
        return self

    def set_use_memory_efficient_attention_xformers(
        self, valid: bool, attention_op: Callable[..., Any] | None = None
    ) -> None:
        """Run the networks on xformers, or no longer."""
        super().set_use_memory_efficient_attention_xformers(valid, attention_op)
        self.model.base.attention = "xformers" if valid else "sdpa"

    @property
    def interrupt(self) -> bool:
        """Whether the remaining steps are left out; a callback sets ``_interrupt``, as in diffusers."""
        return self._interrupt

    @property
    def num_timesteps(self) -> int:
        """The number of steps of the last call."""
        return self._num_timesteps

    @property
    def guidance_scale(self) -> float:
        """s_T of the last call; a callback sets ``_guidance_scale`` for the steps that follow."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether s_T of the last call is above 1."""
        return self._guidance_scale > 1

    @property
    def guidance_rescale(self) -> float:
        """That of the last call."""
        return self._guidance_rescale

    @property
    def clip_skip(self) -> int | None:
        """That of the last call."""
        return self._clip_skip
