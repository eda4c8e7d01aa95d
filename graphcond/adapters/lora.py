"""LoRA (arXiv 2106.09685) on the denoiser's attention projections, with the layers of peft."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.utils import convert_state_dict_to_diffusers, convert_unet_state_dict_to_peft
from peft import LoraConfig as PeftLoraConfig
from peft.tuners.lora.layer import dispatch_default
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from peft.utils.other import get_pattern_key
from torch import Tensor, nn

from graphcond.adapters.base import keep_parameters, kept_layers, key_of, parameters_of
from graphcond.adapters.config import LoraConfig
from graphcond.adapters.layer_changes import LayerUpdate, own_modules
from graphcond.bases.base import Base
from graphcond.config import as_number, checked
from graphcond.errors import InputError, Notice
from graphcond.io.files import read_json
from graphcond.io.strict_json import parse_json
from graphcond.io.tensors import (
    check_weights,
    load_tensors,
    loaded,
    method_of,
    other_family,
    read_metadata,
    sort_metadata,
)

DEFAULT = LoraConfig.model_construct()

WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""diffusers' name of a LoRA file."""

ADAPTER = "graphcond"
"""The name that the update has in peft's layers, and so in the names of its parameters."""

PEFT_PREFIX = "base_model.model."
"""What stands before the names of layers in a file of peft."""

CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq")
"""Initializations of peft that change the weights of the base, which are not in a file."""

ADAPTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""The layers that can be adapted."""


@checked(LoraConfig)
class LoraInjector(LayerUpdate):
    """Low-rank updates of the denoiser: W + (alpha / rank) B A, with B = 0 at the start.

    It reads no signal: its update is the same for every graph. Its layers are kept beside the denoiser, and
    hooks add their output in the calls whose inputs come from `apply`, and in no others. So several models
    may share a base, also in several threads, and adapters that others loaded into the denoiser stay as
    they are.

    Args:
        rank: rank of the update.
        alpha: the update is scaled by alpha / rank.
        targets: ends of the names of the layers to adapt; `Base.attention_projections` unless given.
        dropout: probability of dropping an input of A in training.
        weight_decomposed: train magnitude and direction apart (DoRA, arXiv 2402.09353).
        init: a LoRA of others for `load_init` to read. Then layers, ranks and alphas are those of its files.
        train: False keeps the weights as they were read.
    """

    def __init__(
        self,
        *,
        rank: int = DEFAULT.rank,
        alpha: float | None = None,
        targets: tuple[str, ...] | None = DEFAULT.targets,
        dropout: float = DEFAULT.dropout,
        weight_decomposed: bool = DEFAULT.weight_decomposed,
        init: str | Path | None = None,
        train: bool = DEFAULT.train,
    ) -> None:
        super().__init__("LoRA")
        self.init, self.trained = init, train
        self._peft_config = PeftLoraConfig(
            r=rank,
            lora_alpha=alpha if alpha is not None else rank,
            target_modules=None if targets is None else list(targets),
            lora_dropout=dropout,
            use_dora=weight_decomposed,
            init_lora_weights="gaussian",
        )
        self.layers = nn.ModuleDict()
        self._base: Base | None = None

    @property
    def injected(self) -> bool:
        """True if the update is injected in a denoiser."""
        return self._base is not None

    def inject(self, base: Base) -> None:
        """Make the low-rank layers for the denoiser of ``base``, float32, and hook them in.

        Layers of an earlier injection are kept: trained ones move from one base to another of its widths.
        New ones are in evaluation mode, as the base is.

        Raises:
            InputError: no layer has one of the target names, one cannot be adapted, or the layers are of
                other widths than before.
            RuntimeError: injected already.
        """
        if self.injected:
            raise RuntimeError("LoRA is injected already; eject it first")
        if self.init is not None and not self.layers:
            self._base = base  # the layers are those of a file
            return
        if self._peft_config.target_modules is None:
            self._peft_config.target_modules = set(base.attention_projections)
        adapted = self._adapted(base.denoiser)
        made = nn.ModuleDict(
            {key_of(name): self._made(name, layer, base.denoiser) for name, layer in adapted.items()}
        )
        self.layers = kept_layers(self.layers, made.eval(), "lora")
        self.layers.to(device=base.device, dtype=torch.float32)
        for layer, update in zip(adapted.values(), self.layers.values(), strict=True):
            self._changes.attach(layer, partial(self._updated, update, layer))
        self._base = base

    def eject(self) -> None:
        """Take the hooks away; the low-rank layers stay here."""
        super().eject()
        self._base = None

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The low-rank matrices by the names of their layers; none before the first injection."""
        return parameters_of(self.layers) if self.trained else {}

    def load_init(self) -> None:
        """Read the file or folder named as ``init``, if any; see `load_weights`."""
        if self.init is not None:
            self.load_weights(Path(self.init))

    def save_weights(self, folder: Path) -> None:
        """Write ``pytorch_lora_weights.safetensors``, which diffusers' ``load_lora_weights`` reads.

        alpha is in the file's metadata, where diffusers has it.
        """
        weights = {name: parameter.detach() for name, parameter in self._by_file_names().items()}
        # peft keeps names in sets, which JSON does not have.
        config = {
            key: sorted(value) if isinstance(value, set) else value
            for key, value in self._peft_config.to_dict().items()
        }
        self._injected_base().write_lora(folder, convert_state_dict_to_diffusers(weights), config)
        sort_metadata(folder / WEIGHTS_FILE)

    @torch.no_grad()
    def load_weights(self, folder: Path) -> None:
        """Load the file of `save_weights`, or one in the layout of diffusers, peft or kohya.

        Args:
            folder: of the file, or the file.

        The alpha of the file counts, whatever that of this injector is; for a file of peft it is that of the
        ``adapter_config.json`` beside it. A file without one is read as alpha = rank, and a `Notice` says so.

        Raises:
            InputError: the file is missing or damaged, or weights are missing, surplus or of another shape.
        """
        file = folder if folder.is_file() else folder / WEIGHTS_FILE
        if not file.exists() and (folder / SAFETENSORS_WEIGHTS_NAME).is_file():
            file = folder / SAFETENSORS_WEIGHTS_NAME
        base = self._injected_base()
        weights = base.lora_weights(at_scale_one(load_tensors(file), file, base.denoiser_name), file)
        found = convert_unet_state_dict_to_peft(weights)
        if self.init is not None:
            found = _of_the_denoiser(found, file)
            self._make_as(found, file)
        wanted = self._by_file_names()
        check_weights(found, wanted, place=folder)
        scale = float(self._peft_config.lora_alpha) / self._peft_config.r
        for name, parameter in wanted.items():
            up = name.endswith(".lora_B.weight")
            parameter.copy_(found[name].double() / scale if up else found[name])

    def _adapted(self, denoiser: nn.Module) -> dict[str, nn.Module]:
        """The layers to adapt, by name, whether or not other adapters wrap them."""
        found = {
            name: module
            for name, module in own_modules(denoiser).items()
            if check_target_module_exists(self._peft_config, name)
        }
        remedy = "name linear layers or convolutions of the denoiser"
        if not found:
            targets = ", ".join(sorted(self._peft_config.target_modules))
            raise InputError(f"no layer has the name {targets}", place="lora.targets", remedy=remedy)
        for name, module in found.items():
            if not isinstance(module, ADAPTED):
                raise InputError(
                    f"'{name}' is a {type(module).__name__}, which cannot be adapted",
                    place="lora.targets",
                    remedy=remedy,
                )
        return found

    def _make_as(self, found: Mapping[str, Tensor], file: Path) -> None:
        """Make the layers that the weights of a file are for, with their ranks and at scale 1."""
        base = self._injected_base()
        end = ".lora_A.weight"
        ranks = {name.removesuffix(end): len(down) for name, down in found.items() if name.endswith(end)}
        missing = sorted(ranks.keys() - {name for name, _ in base.denoiser.named_modules()})
        if missing or not ranks:
            family = other_family(found, base.denoiser.state_dict())
            raise InputError(
                f"the LoRA is for {family or 'another base'}, with layers that this one does not have, such "
                f"as '{missing[0]}'"
                if missing
                else f"expected a LoRA, got the weights of {method_of(found)}",
                place=file,
                remedy="use a LoRA that was made for this base",
            )
        config, rank = self._peft_config, max(ranks.values())
        config.target_modules, config.r, config.lora_alpha = set(ranks), rank, rank
        config.rank_pattern = config.alpha_pattern = ranks
        config.use_dora = any("lora_magnitude_vector" in name for name in found)
        self.eject()
        before, self.layers, init, self.init = self.layers, nn.ModuleDict(), self.init, None
        self.inject(base)
        keep_parameters(before, self.layers)
        self.init = init

    def _made(self, name: str, layer: nn.Module, denoiser: nn.Module) -> nn.Module:
        """Peft's layer of an update in float32, without the layer of the denoiser that it updates."""
        config = self._peft_config
        rank, alpha = (
            config.rank_pattern.get(name, config.r),
            config.alpha_pattern.get(name, config.lora_alpha),
        )
        update: Any = dispatch_default(layer, ADAPTER, config, r=rank, lora_alpha=alpha)
        del update.base_layer
        update.float()
        if self._peft_config.use_dora:  # peft measured the weights in the number format of the layer
            with loaded(layer, "cpu", within=denoiser):
                update.lora_magnitude_vector[ADAPTER].update_layer(
                    base_layer=layer,
                    lora_A=update.lora_A[ADAPTER].weight,
                    lora_B=update.lora_B[ADAPTER].weight,
                    scaling=update.scaling[ADAPTER],
                )
        return update

    def _updated(self, update: Any, layer: nn.Module, features: Tensor, output: Tensor) -> Tensor:
        """What the update of a layer adds to its output."""
        down, up, scaling = update.lora_A[ADAPTER], update.lora_B[ADAPTER], update.scaling[ADAPTER]
        dropout = update.lora_dropout[ADAPTER]
        x = dropout(features)
        if not self._peft_config.use_dora:
            return cast(Tensor, up(down(x)) * scaling)
        # In float32: what is added is a small difference of norms times the output.
        dropped = update.training and isinstance(dropout, nn.Dropout)
        added: Tensor = update.lora_magnitude_vector[ADAPTER](
            x.float(),
            lora_A=down,
            lora_B=up,
            scaling=scaling,
            base_layer=layer,
            base_result=None if dropped else output.float(),
        )
        return added

    def _by_file_names(self) -> dict[str, nn.Parameter]:
        """The parameters by peft's names in a file, which lack that of the adapter."""
        return {
            name.removesuffix(f".{ADAPTER}.weight")
            + ("" if "lora_magnitude" in name else ".weight"): parameter
            for name, parameter in parameters_of(self.layers).items()
        }

    def _injected_base(self) -> Base:
        if self._base is None:
            raise RuntimeError("LoRA is not injected, and its file follows the base: inject first")
        return self._base


def _of_the_denoiser(weights: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The weights without those of text encoders, which stay as they are; a `Notice` says so."""
    found = {name: tensor for name, tensor in weights.items() if not name.startswith("text_encoder")}
    if len(found) < len(weights):
        warnings.warn(
            f"{file}: the LoRA also changes the text encoder, which stays as it is", Notice, stacklevel=4
        )
    return found


UP_AND_DOWN = {
    ".lora_up.weight": ".lora_down.weight",
    ".lora_B.weight": ".lora_A.weight",
    ".lora.up.weight": ".lora.down.weight",
    "_lora.up.weight": "_lora.down.weight",
}
"""Ends of the names of B and A: kohya's, peft's, diffusers', and diffusers' before peft."""


def _check_halves(weights: Mapping[str, Tensor], file: Path) -> None:
    """Check that A and B of every layer are there; otherwise a later check would name another cause."""
    other_half = UP_AND_DOWN | {down: up for up, down in UP_AND_DOWN.items()}
    pairs = [(name, end) for name in weights for end in other_half if name.endswith(end)]
    missing = sorted({name.removesuffix(end) + other_half[end] for name, end in pairs} - weights.keys())
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"'{missing[0]}' is missing{more}", place=file, remedy="fetch the file again")


def at_scale_one(weights: Mapping[str, Tensor], file: Path, denoiser_name: str) -> dict[str, Tensor]:
    """The weights of a LoRA file with alpha / rank multiplied into B, in float64, and without alphas.

    The alpha of a layer is a tensor (kohya), or in the settings of peft: in the file's metadata (diffusers),
    or beside the file (peft), whose weights get diffusers' names.

    Raises:
        InputError: a matrix lacks its other half, an alpha is not a finite number, or the settings cannot be
            read, or are those of another method.
    """
    _check_halves(weights, file)
    if any(name.startswith(PEFT_PREFIX) for name in weights):
        settings = _settings_beside(file, denoiser_name)
        weights = {
            name.replace(PEFT_PREFIX, f"{denoiser_name}.", 1): tensor for name, tensor in weights.items()
        }
    else:
        written = read_metadata(file).get(LORA_ADAPTER_METADATA_KEY)
        settings = {} if written is None else parse_json(written, file, remedy="fetch the file again")
    found = {name: tensor for name, tensor in weights.items() if not name.endswith(".alpha")}
    silent = 0
    for name, end in [(name, end) for name in found for end in UP_AND_DOWN if name.endswith(end)]:
        layer = name.removesuffix(end)
        try:
            alpha, rooted = weights.get(f"{layer}.alpha"), False
            if alpha is None:
                alpha, rooted = _alpha_in(settings, layer)
        except (AttributeError, TypeError, re.error):
            raise InputError(
                "the settings in its metadata are not those of peft",
                place=file,
                remedy="fetch the file again",
            ) from None
        if alpha is None:
            silent += 1
            continue
        rank = found[layer + UP_AND_DOWN[end]].shape[0] ** (0.5 if rooted else 1.0)
        scale = as_number(alpha, f"{file}: alpha of '{layer}'") / rank
        if not math.isfinite(scale):
            raise InputError(
                f"the alpha of '{layer}' is not finite", place=file, remedy="fetch the file again"
            )
        found[name] = found[name].double() * scale
    if silent:
        warnings.warn(
            f"{file}: the LoRA says no alpha of {silent} layers, which are read as alpha = rank (scale 1)",
            Notice,
            stacklevel=3,
        )
    return found


def _settings_beside(file: Path, denoiser_name: str) -> dict[str, Any]:
    """The settings beside a file of peft as diffusers writes them; none without that file."""
    beside = file.with_name(CONFIG_NAME)
    settings = read_json(beside) if beside.exists() else {}
    if not isinstance(settings, dict):
        raise InputError("expected the settings of peft", place=beside, remedy="fetch it again")
    method = str(settings.get("peft_type", "lora")).lower()
    if method != "lora":
        raise InputError(
            f"expected a LoRA, got an update by {method}",
            place=file,
            remedy=f"read it as an adapter of kind: peft, with method: {method} and init: {file.parent}",
        )
    start = str(settings.get("init_lora_weights", "")).partition("_")[0].lower()
    if start in CHANGES_THE_BASE:
        raise InputError(
            f"the LoRA is for weights of the base that {start} has changed",
            place=file,
            remedy="let peft convert it (save_pretrained with path_initial_model_for_weight_conversion)",
        )
    return {f"{denoiser_name}.{key}": value for key, value in settings.items()}


def _alpha_in(settings: Mapping[str, Any], layer: str) -> tuple[Any, bool]:
    """The alpha of a layer in peft's settings, and whether it is divided by the root of the rank."""
    part, _, inner = layer.partition(".")
    patterns = settings.get(f"{part}.alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(patterns, inner), settings.get(f"{part}.lora_alpha"))
    return alpha, bool(settings.get(f"{part}.use_rslora"))
