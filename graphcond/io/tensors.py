"""Tensors: the device that they are on, and files of them, checked by name and shape."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import numpy as np

from graphcond.errors import InputError
from graphcond.io.quiet import ignored
from graphcond.io.readable import PICKLE, UNPICKLED, check_readable, is_pickle

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_NUMPY_DTYPES = ("Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "Float16", "Float32", "Float64")


def pick_device(device: torch.device | str | None, *, place: object = "device") -> torch.device:
    """The device of that name; without a name, CUDA or Apple's GPU if there is one, else the CPU.

    Each process that ``accelerate launch`` or torchrun starts on a machine gets a GPU of its own.

    Raises:
        InputError: the device does not exist, or not on this machine.
    """
    import torch

    if device is None:
        if torch.cuda.is_available():
            number = os.environ.get("LOCAL_RANK")
            return torch.device("cuda" if number is None else f"cuda:{number}")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise InputError(
            f"the device '{device}' is not available here", place=place, remedy="leave it out, or use 'cpu'"
        ) from None
    return chosen


def runs_on(network: nn.Module) -> torch.device:
    """The device on which a network computes; offloaded weights (accelerate, diffusers) rest elsewhere."""
    import torch
    from diffusers.hooks.group_offloading import _get_group_onload_device

    grouped = False
    for module in network.modules():  # in every call of a denoiser, so without the slow getattr of modules
        own = vars(module)
        device = getattr(own.get("_hf_hook"), "execution_device", None)
        if device is not None:
            return torch.device(device)
        grouped = grouped or "_diffusers_hook" in own
    if grouped:
        with suppress(ValueError):  # its groups are not offloaded
            return torch.device(_get_group_onload_device(network))
    return next(network.parameters()).device


@contextmanager
def loaded(
    network: nn.Module, device: str | None = None, *, within: nn.Module | None = None
) -> Iterator[None]:
    """Put offloaded weights on ``device``, or where the network computes, in the block.

    Accelerate offloads weights, or diffusers in groups. Weights that are not offloaded stay where they are.

    Args:
        network: whose weights.
        device: where to put them.
        within: the network that has ``network`` as a part, where a group may have its hook on a module
            around it, as diffusers' groups of blocks do; other groups are not found without.
    """
    import torch
    from accelerate.utils import align_module_device, has_offloaded_params
    from diffusers.hooks.group_offloading import _GROUP_OFFLOADING

    where = None if device is None else torch.device(device)
    with ExitStack() as stack:
        for module in network.modules():
            if has_offloaded_params(module):
                stack.enter_context(align_module_device(module, where))
        around = (within or network).modules()
        registries: list[Any] = [getattr(module, "_diffusers_hook", None) for module in around]
        hooks = [registry.get_hook(_GROUP_OFFLOADING) for registry in registries if registry is not None]
        groups = {hook.group for hook in hooks if hook is not None}
        own = {id(tensor) for tensor in (*network.parameters(), *network.buffers())} if groups else set()
        for group in groups:
            if any(id(tensor) in own for tensor in _tensors_of(group)):
                stack.enter_context(_onloaded(group, where))
        yield


def _tensors_of(group: Any) -> Iterator[Tensor]:
    """The weights that diffusers offloads together."""
    yield from (*group.parameters, *group.buffers)
    for module in group.modules:
        yield from module.parameters()
        yield from module.buffers()


@contextmanager
def _onloaded(group: Any, device: torch.device | None) -> Iterator[None]:
    own = group.onload_device
    group.onload_device = own if device is None else device
    group.onload_()
    if group.stream is not None:
        group.stream.synchronize()
    try:
        yield
    finally:
        group.offload_()
        group.onload_device = own


def without_hooks(layer: nn.Module) -> nn.Module:
    """The same layer, with the same parameters, as it is without any hook."""
    view = copy(layer)
    for name, value in list(vars(view).items()):
        if "_hooks" in name and isinstance(value, dict):
            object.__setattr__(view, name, type(value)())
    if hasattr(view, "_hf_hook") or hasattr(view, "_diffusers_hook"):  # hooks around ``forward``
        for name in ("forward", "_hf_hook", "_old_forward", "_diffusers_hook"):
            vars(view).pop(name, None)
    return view


def load_torch_file(path: Path, *, classes: Sequence[type] = (), in_memory: bool = True) -> Any:
    """The content of ``path``: tensors, numpy arrays, numbers, strings, lists and dicts of these.

    Args:
        path: a file of `torch.save`.
        classes: further classes that may occur in it; their state is set, and nothing is called.
        in_memory: read the tensors; otherwise they stay on the disk until they are looked at.

    Raises:
        InputError: the file is missing or damaged, or holds a pickled object, which could run code.
    """
    import torch

    check_readable(path)
    mapped = not in_memory and is_zipfile(path)  # older files cannot be mapped
    # The classes and functions in a pickled numpy array; numpy before 2 used another module name.
    multiarray: Any = np._core.multiarray  # type: ignore[attr-defined]
    makers = {"_reconstruct": multiarray._reconstruct, "scalar": multiarray.scalar}
    numpy_classes = [np.ndarray, np.dtype, *(getattr(np.dtypes, f"{name}DType") for name in _NUMPY_DTYPES)]
    for core in ("core", "_core"):
        numpy_classes += [(made, f"numpy.{core}.multiarray.{name}") for name, made in makers.items()]
    try:
        # It warns about pickles of other kinds, which are refused below.
        with ignored(), torch.serialization.safe_globals([*numpy_classes, *classes]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except (pickle.UnpicklingError, LookupError, EOFError):
        raise InputError(
            "the file is damaged, or a pickle of more than tensors, lists and dicts, which is not opened: "
            "it could run code",
            place=path,
            remedy="save tensors, lists and dicts",
        ) from None
    except Exception as error:  # a damaged file raises anything
        reason = str(error).strip().partition(". ")[0] or type(error).__name__
        raise InputError(
            f"the file cannot be read: {reason}", place=path, remedy="fetch or write the file again"
        ) from None


def load_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: missing or damaged.
    """
    from safetensors.torch import load_file

    of_old = f"{os.path.splitext(file)[0]}.bin"  # the name that older libraries gave to weights
    file = Path(of_old) if os.path.isfile(of_old) and not os.path.exists(file) else file
    check_readable(file, missing="the model is incomplete; save or copy it again")
    try:
        return load_file(file)
    except MemoryError:
        raise
    except Exception as error:  # a dtype that torch does not have raises a KeyError
        if is_pickle(file):
            raise InputError(f"the file {PICKLE}", place=file, remedy=UNPICKLED) from None
        raise InputError(
            f"the file is damaged ({error})", place=file, remedy="save or copy it again"
        ) from None


def save_weights(module: torch.nn.Module, file: Path) -> None:
    """Write the weights of a module as safetensors; nothing for a module without any."""
    from safetensors.torch import save_file

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if weights:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, file, metadata={"format": "pt"})


def load_weights(module: torch.nn.Module, file: Path) -> None:
    """Read the weights of a module that `save_weights` wrote.

    Raises:
        InputError: missing or damaged, or names and shapes do not fit.
    """
    wanted = module.state_dict()
    if wanted:
        found = load_tensors(file)
        check_weights(found, wanted, place=file)
        module.load_state_dict(found)


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of a safetensors file that `load_tensors` reads."""
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return dict(opened.metadata() or {})


def sort_metadata(file: Path) -> None:
    """Sort the metadata of a safetensors file: the library orders several keys by chance.

    Equal tensors and metadata then give equal bytes.
    """
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


SIGNS = {
    "an IP-Adapter": ("ip_adapter.", ".to_k_ip."),
    "a T2I-Adapter": ("adapter.body.", "adapter.conv_in.", "body.0.resnets."),
    "a LoKr": ("lokr_",),
    "a LoHa": ("hada_",),
    "a LoRA": ("lora_", ".lora."),
    "a ControlNet": ("controlnet_", "control_model.", "zero_convs."),
    "a GLIGEN UNet": (".fuser.", "position_net."),
    "a UNet": ("down_blocks.", "model.diffusion_model."),
    "an autoencoder": ("decoder.up_blocks.", "first_stage_model."),
    "a text encoder": ("text_model.",),
}
"""Parts of tensor names by which a method is recognized; the first method that fits is taken."""


UNKNOWN = "something else"
"""The method of weights that are not recognized."""


def method_of(names: Iterable[str]) -> str:
    """What kind of model has weights of these names, with its article."""
    listed = list(names)
    found = (
        method for method, signs in SIGNS.items() if any(sign in name for name in listed for sign in signs)
    )
    return next(found, UNKNOWN)


TOKEN_WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL"}
"""The families of UNets by the width of the prompt's tokens."""

READS_TOKENS = re.compile(
    r"(?:attn2_to_[kv]|\d_to_[kv]_ip)(?:(?:_lora_A|_lora_down)?_weight|_hada_w1_b|_lokr_w[12](?:_b)?)$"
)
"""The ends of names of matrices whose second side is as wide as the prompt's tokens; of a LoKr the product of
two is."""

OF_FAMILIES = {
    "single_transformer_blocks_": "FLUX",
    "double_blocks_": "FLUX",
    "add_embedding_": "SDXL",
    "attentions_0_transformer_blocks_1_": "SDXL",
    "lora_unet_input_blocks_": "SDXL",
    "down_blocks_3_": "Stable Diffusion",
    "up_blocks_3_": "Stable Diffusion",
    "down_blocks_0_attentions_": "Stable Diffusion",
}
"""Parts of tensor names that one family of models has and the others lack; the first that fits is taken."""


def _by_width(weights: Mapping[str, Tensor]) -> str | None:
    sides: dict[str, int] = {}
    for name, tensor in weights.items():
        if READS_TOKENS.search(name):
            layer = name.partition("_lokr_")[0]
            sides[layer] = sides.get(layer, 1) * tensor.shape[-1]
    if len({*sides.values()}) != 1:
        return None
    width = next(iter(sides.values()))
    return TOKEN_WIDTHS.get(width, f"a base with tokens {width} wide")


def _by_blocks(weights: Mapping[str, Tensor]) -> str | None:
    return next(
        (family for sign, family in OF_FAMILIES.items() if any(sign in name for name in weights)), None
    )


def other_family(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """The family of models that weights are made for, where it is another one than that of ``wanted``.

    Args:
        found: of an adapter, in the layout of diffusers, peft or kohya.
        wanted: of an adapter for the base, or of the base.
    """
    # Kohya's names have no dots.
    ours, theirs = (
        {name.replace(".", "_"): tensor for name, tensor in weights.items()} for weights in (wanted, found)
    )
    for family in (_by_width, _by_blocks):
        if (known := family(ours)) and (other := family(theirs)):
            return other if other != known else None
    return None


MISFIT = "weights do not fit"
"""How the problem of `check_weights` begins."""


def check_weights(
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    place: object,
    remedy: str = "load it with the recipe it was saved with",
) -> None:
    """Check that ``found`` has the names and shapes of ``wanted``.

    Raises:
        InputError: names the weights that are missing, surplus or of another shape, and the method that they
            are of, where that is another one.
    """
    problems = [f"'{name}' is missing" for name in wanted.keys() - found.keys()]
    problems += [f"'{name}' is surplus" for name in found.keys() - wanted.keys()]
    problems += [
        f"'{name}' has shape {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in found.keys() & wanted.keys()
        if found[name].shape != wanted[name].shape
    ]
    if problems:
        shown = listed(problems, found, wanted)
        if family := other_family(found, wanted):
            shown = f"they are made for {family}; {shown}"
        raise InputError(f"{MISFIT}: {shown}", place=place, remedy=remedy)


def listed(problems: Sequence[str], found: Collection[str], wanted: Collection[str]) -> str:
    """The first problems of weights; before them the method that these are of, where that is another one.

    Args:
        problems: a clause each.
        found: the names of the weights.
        wanted: the names that they should have.
    """
    more = len(problems) - 3
    shown = "; ".join(sorted(problems)[:3]) + (f"; and {more} more" if more > 0 else "")
    method = method_of(found)
    if not {*found} & {*wanted} and method not in (method_of(wanted), UNKNOWN):
        return f"they are those of {method}; {shown}"
    return shown
