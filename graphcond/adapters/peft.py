"""Any method of peft that keeps the contract of an injector, with peft's own layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftType, inject_adapter_in_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor, nn

from graphcond.adapters.base import check_widths, keep_parameters, key_of, parameters_of
from graphcond.adapters.config import PeftConfig, check_peft
from graphcond.adapters.layer_changes import LayerUpdate, own_modules
from graphcond.bases.base import Base
from graphcond.bases.quantization import is_quantized, unquantized
from graphcond.config import checked
from graphcond.errors import InputError, did_you_mean, first_line, out_of_memory
from graphcond.io.files import read_json
from graphcond.io.tensors import check_weights, load_tensors, loaded, other_family, without_hooks

DEFAULT = PeftConfig.model_construct()

ADAPTER = "graphcond"
"""The name that the update has in peft's layers."""

PREFIX = "base_model.model."
"""What stands before the names of layers in a file of peft."""

DORA = ("lora_magnitude_vector.weight", "lora_magnitude_vector")
"""The end of the name of a magnitude in peft's modules, and in its files."""

SHIRA_PLACES = "shira_indices"
"""The rows and columns of the weights that SHiRA trains, in peft's layers and files."""

VARIANTS = {"dora": {"use_dora": True}, "rslora": {"use_rslora": True}}
"""Methods that peft has as settings of its LoRA."""


@checked(PeftConfig)
class PeftInjector(LayerUpdate):
    """An update of the denoiser's layers by a method of peft: LoKr, OFT, IA3 and others.

    It reads no signal: its update is the same for every graph. As for LoRA, peft's layers are kept beside the
    denoiser, and a hook on each layer that is adapted adds what peft's layer changes of its output, in the
    calls whose inputs come from `apply`, and in no others. So several models may share a base, also in
    several threads. For that, a layer with a hook is computed three times.

    A method keeps the contract if it starts as the base and leaves the base's weights alone, which is tried
    on a copy of one layer, and if each of its layers is complete without the others.

    Args:
        method: a type of peft's, such as ``lokr``, or ``dora`` or ``rslora``.
        targets: ends of the names of the layers to adapt; `Base.attention_projections`, or for ``ln_tuning``
            the norms, unless given.
        settings: of peft's config for that method, by peft's names.
        init: a folder of peft for `load_init` to read; its config counts.
        train: False keeps the weights as they were read.

    Raises:
        InputError: peft has no such method or setting, or the method does not keep the contract.
    """

    def __init__(
        self,
        *,
        method: str = DEFAULT.method,
        targets: tuple[str, ...] | None = DEFAULT.targets,
        settings: Mapping[str, Any] | None = None,
        init: str | Path | None = None,
        train: bool = DEFAULT.train,
    ) -> None:
        super().__init__(f"the update by {method}")
        self.method, self.init, self.trained = method, init, train
        self._config = peft_config(method, targets, settings or {})
        self.layers = nn.ModuleDict()
        self._base: Base | None = None

    def inject(self, base: Base) -> None:
        """Let peft make layers for the denoiser of ``base``, float32, and hook them in.

        Weights of an earlier injection are kept: trained ones move from one base to another of its widths.
        With ``init`` the layers are those of its folder, and are made when weights are read.

        Raises:
            InputError: no layer has one of the target names, peft cannot adapt one, or the layers are of
                other widths than before.
            RuntimeError: injected already.
        """
        self._changes.check_new()
        if self.init is not None and not self.layers:
            self._base = base
            return
        self._make(base)

    def _make(self, base: Base, *, weights_follow: bool = False) -> None:
        if self._config.target_modules is None:
            self._config.target_modules = set(base.attention_projections)
        adapted, device = self._adapted(base.denoiser), base.device
        with loaded(nn.ModuleList(adapted.values()), "cpu", within=base.denoiser):
            self._try(*next(iter(adapted.items())), starts=not weights_follow)
            with torch.device(device):
                layers = self._tuned({name: without_hooks(layer) for name, layer in adapted.items()})
        made = nn.ModuleDict({key_of(name): _beside(layer) for name, layer in layers.items()})
        if self.layers:
            check_widths(self.layers, made, f"peft, {self.method}")
        kept = self._by_file_names()
        self.layers = made.to(device=device, dtype=torch.float32).eval()
        for key, tensor in self._by_file_names().items() if kept else ():
            tensor.copy_(kept[key])
        for name, layer in adapted.items():
            self._changes.attach(layer, partial(_changed, self.layers[key_of(name)]))
        self._base = base

    def eject(self) -> None:
        """Take the hooks away; peft's layers stay here."""
        super().eject()
        self._base = None

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """Those that peft trains, by the names of their layers; none before the first injection."""
        return {name: p for name, p in parameters_of(self.layers).items() if p.requires_grad and self.trained}

    def load_init(self) -> None:
        """Read the folder named as ``init``, if any; see `load_weights`."""
        if self.init is not None:
            self.load_weights(Path(self.init))

    def save_weights(self, folder: Path) -> None:
        """Write the folder that ``PeftModel.from_pretrained`` of peft opens over the denoiser."""
        folder.mkdir(parents=True, exist_ok=True)
        every = {PREFIX + name: tensor for name, tensor in self._by_file_names().items()} | self._shared()
        # Cloned, as by peft, because safetensors writes no tensor under two names.
        weights = {
            name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in every.items()
        }
        save_file(weights, folder / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})
        self._config.save_pretrained(str(folder))

    @torch.no_grad()
    def load_weights(self, folder: Path) -> None:
        """Read a folder of peft for the same method; the layers and settings of its config count.

        Raises:
            InputError: no such folder, another method, weights that are missing, surplus or of another shape.
            RuntimeError: not injected.
        """
        base = self._base
        if base is None:
            raise RuntimeError(f"the update by {self.method} is not injected, and its layers follow the base")
        written = read_json(folder / CONFIG_NAME)
        named = str(written.get("peft_type", "nothing")).lower() if isinstance(written, dict) else "nothing"
        if named != self._config.peft_type.value.lower():
            raise InputError(
                f"expected an update by {self.method}, got one by {named}",
                place=folder,
                remedy=f"set method to '{named}', or give another folder",
            )
        if not written.get("target_modules"):
            raise InputError(
                "its settings name no layers", place=folder / CONFIG_NAME, remedy="write 'target_modules'"
            )
        tensors = load_tensors(folder / SAFETENSORS_WEIGHTS_NAME)
        if family := other_family(tensors, base.denoiser.state_dict()):
            raise InputError(
                f"the update by {self.method} is made for {family}",
                place=folder,
                remedy="give an update of this base",
            )
        self.eject()
        before, self.layers = self.layers, nn.ModuleDict()
        try:
            self._config = type(self._config).from_pretrained(str(folder))
            self._config.inference_mode = False
            self._make(base, weights_follow=True)
        except InputError:
            raise
        except Exception as error:  # peft raises anything where a setting is of another type
            if out_of_memory(error):
                raise
            raise InputError(
                f"its settings are not those of peft: {error}",
                place=folder / CONFIG_NAME,
                remedy="fetch it again",
            ) from error
        keep_parameters(before, self.layers)
        shared = self._shared()
        found = {
            name.removeprefix(PREFIX).replace(*DORA): tensor
            for name, tensor in tensors.items()
            if name not in shared
        }
        wanted = self._by_file_names()
        places = {name: tensor for name, tensor in wanted.items() if name.endswith(f".{SHIRA_PLACES}")}
        found = places | found  # files that graphcond wrote before had those of the initialization
        check_weights(found, wanted, place=folder, remedy="give an update of this base")
        for name in places:  # peft does not check them
            layer: Any = self.layers[key_of(name.removesuffix(f".{SHIRA_PLACES}"))]
            size = torch.tensor([[layer.out_features], [layer.in_features]])
            if bool(((found[name] < 0) | (found[name] >= size)).any()):
                raise InputError(
                    f"'{name}' names places outside of the weights", place=folder, remedy="fetch it again"
                )
        for name, tensor in wanted.items():
            tensor.copy_(found[name])

    def _adapted(self, denoiser: nn.Module) -> dict[str, nn.Module]:
        """The layers to adapt, by name, whether or not other adapters wrap them."""
        found = {
            name: module
            for name, module in own_modules(denoiser).items()
            if check_target_module_exists(self._config, name)
        }
        if not found:
            targets = self._config.target_modules  # a pattern, or names
            names = targets if isinstance(targets, str) else ", ".join(sorted(targets))
            raise InputError(
                f"no layer has the name {names}",
                place=f"peft, {self.method}, targets",
                remedy="name layers of the denoiser",
            )
        for name, module in found.items():
            if next(module.parameters(), None) is None:  # a norm without weights
                raise InputError(
                    f"there is nothing to train at '{name}'",
                    place=f"peft, {self.method}",
                    remedy="name other layers, or use another method",
                )
        return found

    def _try(self, name: str, layer: nn.Module, *, starts: bool) -> None:
        """Check on a copy of a layer that the method keeps the contract; where it ``starts``, that too."""
        own = unquantized(deepcopy(without_hooks(layer))).float()
        before = {key: tensor.clone() for key, tensor in own.state_dict().items()}
        tuned = self._tuned({name: own})[name].eval()
        place = f"peft, {self.method}"
        if any(not torch.equal(before[key], tensor) for key, tensor in own.state_dict().items()):
            raise InputError(
                "it changes the weights of the base, which then cannot be restored",
                place=place,
                remedy="set another initialization, or use another method",
            )
        if not any(parameter.requires_grad for parameter in tuned.parameters()):
            raise InputError(
                f"there is nothing to train at '{name}'", place=place, remedy="name other layers"
            )
        shape = _input_shape(own)
        if shape is None:
            raise InputError(
                f"'{name}' is a {type(own).__name__}, which is not adapted",
                place=place,
                remedy="name linear layers, convolutions or norms",
            )
        given = torch.linspace(-1, 1, math.prod(shape), device=next(own.parameters()).device).view(shape)
        with torch.no_grad():
            if starts and not torch.allclose(tuned(given), own(given), atol=1e-5):
                raise InputError(
                    "its update is not 0 at the start",
                    place=place,
                    remedy="set another initialization, or use another method",
                )
            if any(is_quantized(weight) for weight in layer.parameters()):
                try:
                    self._tuned({name: deepcopy(without_hooks(layer))})[name](given)
                except (RuntimeError, NotImplementedError) as error:
                    raise InputError(
                        f"it cannot adapt quantized weights ({first_line(error)})",
                        place=place,
                        remedy="use another method, such as a LoRA, or leave base.quantize out",
                    ) from error

    def _tuned(self, layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Peft's layers over ``layers``, by the same names."""
        skeleton = nn.Module()
        for name, layer in layers.items():
            *path, last = name.split(".")
            parent = skeleton
            for part in path:
                if not hasattr(parent, part):
                    parent.add_module(part, nn.Module())
                parent = getattr(parent, part)
            parent.add_module(last, layer)
        try:
            inject_adapter_in_model(deepcopy(self._config), skeleton, ADAPTER)
        except (ValueError, TypeError, RuntimeError, NotImplementedError, ImportError) as error:
            raise InputError(
                f"peft cannot adapt these layers: {str(error).strip().rstrip('.')}",
                place=f"peft, {self.method}",
                remedy="change its settings or targets, or use another method",
            ) from error
        return {name: skeleton.get_submodule(name) for name in layers}

    def _by_file_names(self) -> dict[str, Tensor]:
        """The weights and buffers by peft's names in a file, which lack that of the adapter."""
        tuner: Any = PEFT_TYPE_TO_TUNER_MAPPING[self._config.peft_type]
        return {
            tuner._remove_adapter_name_from_key(f"{name.replace('/', '.')}.{key}", ADAPTER).replace(
                *DORA
            ): tensor
            for name, layer in self.layers.items()
            for key, tensor in (layer.state_dict() | _places_of(layer)).items()
        }

    def _shared(self) -> dict[str, Tensor]:
        """The random matrices that all layers of RandLora hold, by the names that peft gives them besides."""
        if self._config.peft_type != PeftType.RANDLORA:
            return {}
        first = next(iter(self.layers.values())).state_dict()
        names = ("randlora_A", "randlora_B")
        return {
            f"base_model.{name}": first[f"{name}.{ADAPTER}"] for name in names if f"{name}.{ADAPTER}" in first
        }


def peft_config(method: str, targets: tuple[str, ...] | None, settings: Mapping[str, Any]) -> Any:
    """Peft's config of a method.

    Raises:
        InputError: peft has no such method or setting, or the method does not keep the contract.
    """
    check_peft(method, settings)
    kinds = {kind.value.lower(): config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    fixed: dict[str, Any] = dict(VARIANTS.get(method, {}))
    name = "lora" if method in VARIANTS else method
    if name not in kinds or not hasattr(kinds[name], "__dataclass_fields__"):
        raise InputError(
            f"peft has no method '{method}'",
            place="peft.method",
            remedy=did_you_mean(method, [*kinds, *VARIANTS]),
        )
    fields: Mapping[str, Any] = kinds[name].__dataclass_fields__
    if "target_modules" not in fields:
        raise InputError(
            f"the method '{method}' adapts no layers", place="peft.method", remedy="use lokr, loha or oft"
        )
    for key in settings.keys() - fields.keys():
        raise InputError(
            f"peft has no setting '{key}' for {method}",
            place="peft.settings",
            remedy=did_you_mean(key, fields),
        )
    chosen = targets or (("norm1", "norm2", "norm3") if name == "ln_tuning" else None)
    fixed["target_modules"] = None if chosen is None else list(chosen)
    if "feedforward_modules" in fields:
        fixed["feedforward_modules"] = []
    try:
        return kinds[name](**{**fixed, **settings})
    except (ValueError, TypeError) as error:
        raise InputError(
            f"peft does not take these settings: {str(error).rstrip('.')}",
            place="peft.settings",
            remedy="correct them",
        ) from error


def _input_shape(layer: Any) -> tuple[int, ...] | None:
    """A shape of inputs that a layer takes."""
    if isinstance(layer, nn.Conv2d):
        return (2, layer.in_channels, *layer.kernel_size)
    if isinstance(layer, nn.GroupNorm):
        return (2, layer.num_channels, 3)
    width = getattr(layer, "in_features", getattr(layer, "normalized_shape", (None,))[-1])
    return None if width is None else (2, 3, width)


def _changed(tuned: Any, features: Tensor, output: Tensor) -> Tensor:
    """What a layer of peft changes of what the base gives for these features."""
    change: Tensor = tuned(features) - tuned.base_layer(features)
    return change


def _places_of(layer: nn.Module) -> dict[str, Tensor]:
    """The places of the weights that SHiRA trains, which are no buffer of its layer."""
    places: Mapping[str, Tensor] = getattr(layer, SHIRA_PLACES, {})
    return {f"{SHIRA_PLACES}.{adapter}": tensor for adapter, tensor in places.items()}


def _beside(tuned: nn.Module) -> nn.Module:
    """A layer of peft that still computes with the layer of the base, but does not hold it as a part."""
    base_layer = tuned._modules.pop("base_layer")
    object.__setattr__(tuned, "base_layer", base_layer)
    return tuned
