"""Injectors: how a signal, or a trained update, enters the frozen denoiser."""

from graphcond.adapters.base import Injector
from graphcond.adapters.controlnet import ControlNetConfig, ControlNetInjector
from graphcond.adapters.gated_self_attention import GatedSelfAttentionConfig, GatedSelfAttentionInjector
from graphcond.adapters.lora import LoraConfig, LoraInjector
from graphcond.adapters.prompt_tokens import PromptTokenConfig, PromptTokenInjector
from graphcond.config import by_kind, tagged_union

INJECTORS = by_kind(
    (PromptTokenConfig, GatedSelfAttentionConfig, ControlNetConfig, LoraConfig), "graphcond.injectors"
)
"""Every injector config by its kind, plug-ins included."""

InjectorConfig = tagged_union(INJECTORS)
"""The pydantic type of an injector in a recipe."""

__all__ = [
    "INJECTORS",
    "ControlNetConfig",
    "ControlNetInjector",
    "GatedSelfAttentionConfig",
    "GatedSelfAttentionInjector",
    "Injector",
    "InjectorConfig",
    "LoraConfig",
    "LoraInjector",
    "PromptTokenConfig",
    "PromptTokenInjector",
]
