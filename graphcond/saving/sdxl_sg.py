"""The weights of a released SDXL-SG (LAION-SG, arXiv 2412.08580), read into a condition of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from graphcond.condition import Condition
from graphcond.errors import InputError
from graphcond.io.tensors import check_weights, load_tensors, load_torch_file

LOGIT_SCALE = "logit_scale"
"""A temperature in the file, which its code does not read."""


def load_sdxl_sg(condition: Condition, file: Path | str) -> None:
    """Give ``sentence_graph`` with ``prompt_tokens: {place: add}`` the released weights.

    Args:
        condition: of a base whose tokens are as wide as the file's (SDXL: 2048).
        file: a checkpoint of `torch.save`, read without running code, or its ``state_dict`` as safetensors.

    Raises:
        InputError: no such file, one that holds more than tensors, or weights for other widths.
    """
    file = Path(file)
    if file.suffix == ".safetensors":
        weights: Any = load_tensors(file)
    else:
        content: Any = load_torch_file(file)
        weights = content.get("state_dict", content) if isinstance(content, dict) else content
        if not isinstance(weights, dict) or not all(isinstance(one, Tensor) for one in weights.values()):
            problem = "expected a state dict, or a dict with one under 'state_dict'"
            raise InputError(problem, place=file, remedy="give the checkpoint of an SDXL-SG")
        weights = {str(name).removeprefix("module."): tensor for name, tensor in weights.items()}
    found = {name: tensor for name, tensor in weights.items() if name != LOGIT_SCALE}
    wanted = {
        **condition.encoder.state_dict(),
        **{name: p for name, p in condition.injector.state_dict().items() if name == "alpha_obj"},
    }
    if "alpha_obj" not in wanted or "projection_mlp_1.weight" not in wanted:
        raise InputError(
            f"the weights are for the encoder sentence_graph with prompt tokens that are added, not for "
            f"{type(condition.encoder).__name__} with {type(condition.injector).__name__}",
            place=f"condition '{condition.name}'",
            remedy="build the condition of the recipe sdxl-sg",
        )
    check_weights(found, wanted, place=file, remedy="give the file of an SDXL-SG, over a base of its widths")
    condition.injector.load_state_dict({"alpha_obj": found.pop("alpha_obj")})
    condition.encoder.load_state_dict(found)
