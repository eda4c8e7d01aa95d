"""Bases: the frozen models that draw."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.bases.base import Base as Base
    from graphcond.bases.config import BASES as BASES
    from graphcond.bases.config import BaseConfig as BaseConfig
    from graphcond.bases.config import BaseFields as BaseFields
    from graphcond.bases.config import StableDiffusionConfig as StableDiffusionConfig
    from graphcond.bases.config import StableDiffusionXLConfig as StableDiffusionXLConfig
    from graphcond.bases.config import TinyConfig as TinyConfig
    from graphcond.bases.flux2 import Flux2Base as Flux2Base
    from graphcond.bases.flux2_config import Flux2Config as Flux2Config
    from graphcond.bases.stable_diffusion import StableDiffusionBase as StableDiffusionBase
    from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase as StableDiffusionXLBase
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
