"""LoRA (arXiv 2106.09685) on the denoiser's attention projections, through peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from diffusers.utils import convert_state_dict_to_diffusers, convert_unet_state_dict_to_peft
from peft import LoraConfig as PeftLoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn

from graphcond.adapters.base import Injector
from graphcond.adapters.config import LoraConfig
from graphcond.bases.base import Base
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.tensors import check_weights, load_tensors
from graphcond.signals import Signal

DEFAULT = LoraConfig.model_construct()

WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""diffusers' name of a LoRA file."""


class LoraInjector(Injector[Signal]):
    """Low-rank updates of the denoiser: W + (alpha / rank) B A, with B = 0 at the start.

    It reads no signal: its update is the same for every graph. Its weights live inside the denoiser
    while injected.

    Args:
        rank: rank of the update.
        alpha: the update is scaled by alpha / rank.
        targets: ends of the names of the layers to adapt.
        dropout: probability of dropping an input of A in training.
        weight_decomposed: train magnitude and direction apart (DoRA, arXiv 2402.09353).
        name: under which peft knows this adapter; two on one base need two names.
    """

    reads: ClassVar[type[Signal] | None] = None

    def __init__(
        self,
        *,
        rank: int = DEFAULT.rank,
        alpha: float | None = None,
        targets: tuple[str, ...] = DEFAULT.targets,
        dropout: float = DEFAULT.dropout,
        weight_decomposed: bool = DEFAULT.weight_decomposed,
        name: str = "graphcond",
    ) -> None:
        super().__init__()
        self.name = name
        self._peft_config = PeftLoraConfig(
            r=rank,
            lora_alpha=alpha if alpha is not None else rank,
            target_modules=list(targets),
            lora_dropout=dropout,
            use_dora=weight_decomposed,
            init_lora_weights="gaussian",
        )
        self._base: Base | None = None

    @property
    def injected(self) -> bool:
        """True if the update is injected in a denoiser."""
        return self._base is not None

    def inject(self, base: Base) -> None:
        """Put the low-rank layers into the denoiser of ``base``.

        Raises:
            InputError: no layer has one of the target names.
            RuntimeError: injected already, or the base has an adapter of this name.
        """
        denoiser: Any = base.denoiser
        others = _adapters(denoiser)
        if self.injected or self.name in others:
            raise RuntimeError(f"LoRA '{self.name}' is injected already; eject it first")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`")  # two adapters are meant
                denoiser.add_adapter(self._peft_config, self.name)
        except ValueError as error:
            raise InputError(
                str(error).splitlines()[0], place="lora.targets", remedy="name layers of the denoiser"
            ) from error
        self._base = base
        denoiser.set_adapter([*others, self.name])

    def eject(self) -> None:
        """Take the low-rank layers out again; other adapters stay."""
        if self._base is None:
            return
        denoiser: Any = self._base.denoiser
        self._base = None
        denoiser.delete_adapters(self.name)
        others = _adapters(denoiser)
        if others:
            denoiser.set_adapter(list(others))
        else:
            denoiser.unload_lora()

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: Signal | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """The same inputs; the update in the denoiser counts ``scale`` times from now on."""
        for layer in self._layers():
            layer.set_scale(self.name, scale)
        return inputs

    def train(self, mode: bool = True) -> LoraInjector:
        """Switch the dropout inside the denoiser on or off."""
        for layer in self._layers():
            if self.name in layer.lora_dropout:
                layer.lora_dropout[self.name].train(mode)
        return super().train(mode)

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The low-rank matrices inside the denoiser; none unless injected."""
        if self._base is None:
            return {}
        return {
            name: parameter
            for name, parameter in self._base.denoiser.named_parameters()
            if f".{self.name}." in name or name.endswith(f".{self.name}")
        }

    def save_weights(self, folder: Path) -> None:
        """Write ``pytorch_lora_weights.safetensors``, which diffusers' ``load_lora_weights`` reads."""
        base = self._injected_base()
        weights = get_peft_model_state_dict(base.denoiser, adapter_name=self.name)
        # peft keeps names in sets, which JSON does not have.
        config = {
            key: sorted(value) if isinstance(value, set) else value
            for key, value in self._peft_config.to_dict().items()
        }
        base.write_lora(folder, convert_state_dict_to_diffusers(weights), config)

    def load_weights(self, folder: Path) -> None:
        """Load the file of `save_weights` into the injected layers.

        Raises:
            InputError: the file is missing or damaged, or weights are missing, surplus or of another shape.
        """
        base = self._injected_base()
        wanted = get_peft_model_state_dict(base.denoiser, adapter_name=self.name)
        weights = base.lora_weights(load_tensors(folder / WEIGHTS_FILE))
        found = convert_unet_state_dict_to_peft(weights)
        check_weights(found, wanted, place=folder)
        set_peft_model_state_dict(base.denoiser, found, adapter_name=self.name)

    def _injected_base(self) -> Base:
        if self._base is None:
            raise RuntimeError("LoRA weights live in the denoiser: inject first")
        return self._base

    def _layers(self) -> Iterator[LoraLayer]:
        modules = () if self._base is None else self._base.denoiser.modules()
        return (module for module in modules if isinstance(module, LoraLayer))


def _adapters(denoiser: Any) -> tuple[str, ...]:
    return tuple(getattr(denoiser, "peft_config", {}))
