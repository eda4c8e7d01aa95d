"""Injectors: how a signal, or a trained update, enters the frozen denoiser."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.adapters.base import Injector as Injector
    from graphcond.adapters.base import SiteAdditions as SiteAdditions
    from graphcond.adapters.base import kept_layers as kept_layers
    from graphcond.adapters.base import key_of as key_of
    from graphcond.adapters.config import INJECTORS as INJECTORS
    from graphcond.adapters.config import ControlNetConfig as ControlNetConfig
    from graphcond.adapters.config import DiffFitConfig as DiffFitConfig
    from graphcond.adapters.config import GatedSelfAttentionConfig as GatedSelfAttentionConfig
    from graphcond.adapters.config import HypernetworkConfig as HypernetworkConfig
    from graphcond.adapters.config import InjectorConfig as InjectorConfig
    from graphcond.adapters.config import InjectorFields as InjectorFields
    from graphcond.adapters.config import IPAdapterConfig as IPAdapterConfig
    from graphcond.adapters.config import LoraConfig as LoraConfig
    from graphcond.adapters.config import PeftConfig as PeftConfig
    from graphcond.adapters.config import PromptTokenConfig as PromptTokenConfig
    from graphcond.adapters.config import ReferencesConfig as ReferencesConfig
    from graphcond.adapters.config import T2IAdapterConfig as T2IAdapterConfig
    from graphcond.adapters.controlnet import ControlNetInjector as ControlNetInjector
    from graphcond.adapters.difffit import DiffFitInjector as DiffFitInjector
    from graphcond.adapters.gated_self_attention import (
        GatedSelfAttentionInjector as GatedSelfAttentionInjector,
    )
    from graphcond.adapters.hypernetwork import HypernetworkInjector as HypernetworkInjector
    from graphcond.adapters.ip_adapter import IPAdapterInjector as IPAdapterInjector
    from graphcond.adapters.lora import LoraInjector as LoraInjector
    from graphcond.adapters.peft import PeftInjector as PeftInjector
    from graphcond.adapters.prompt_tokens import PromptTokenInjector as PromptTokenInjector
    from graphcond.adapters.references import ReferencesInjector as ReferencesInjector
    from graphcond.adapters.t2i_adapter import T2IAdapterInjector as T2IAdapterInjector
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
