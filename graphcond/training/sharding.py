"""A frozen base that processes divide among them (FSDP2); what is trained is whole in each of them."""

from __future__ import annotations

import os

from accelerate import Accelerator

from graphcond.errors import InputError
from graphcond.model import GraphModel


def check_launch() -> None:
    """Check that processes were not started for a kind of parallelism that cannot be.

    Raises:
        InputError: by accelerate for DeepSpeed, for the first FSDP, or for offloading by FSDP.
    """
    asked, remedy = None, "use_fsdp with fsdp_version 2 divides the frozen base; DDP needs neither"
    if _is_set("ACCELERATE_USE_DEEPSPEED"):
        asked = "DeepSpeed has nothing to divide here, since only adapters are trained"
    elif _is_set("ACCELERATE_USE_FSDP") and os.environ.get("FSDP_VERSION", "1") != "2":
        asked = "the first FSDP cannot keep trained and frozen parameters apart"
    elif _is_set("ACCELERATE_USE_FSDP") and _is_set("FSDP_OFFLOAD_PARAMS"):
        asked, remedy = "FSDP cannot keep the base on the CPU here", "leave fsdp_offload_params out"
    if asked is not None:
        raise InputError(asked, place="accelerate launch", remedy=remedy)


def shard_base(model: GraphModel, accelerator: Accelerator) -> bool:
    """Divide the denoiser's weights among the processes, if they were started for it.

    Each block is gathered while it computes, forwards and backwards, and given up after it. Adapters stay
    whole; their gradients are averaged as without FSDP. Autoencoder and text encoders stay whole as well.

    Args:
        model: its base is loaded, with its injectors.
        accelerator: of this process.

    Returns:
        True if it is divided: then all processes must call the base alike.

    Raises:
        InputError: the base is trained, compiled or quantised.
    """
    if accelerator.num_processes == 1 or not _is_set("ACCELERATE_USE_FSDP"):
        return False
    for setting, value in (
        ("training.train_base", model.recipe.training.train_base),
        ("training.compile", model.recipe.training.compile),
        ("base.quantize", model.recipe.base.quantize),
    ):
        if value:
            raise InputError(
                "such a base cannot be divided by FSDP", place=setting, remedy="leave it out, or use DDP"
            )
    from torch.distributed.fsdp import fully_shard

    denoiser = model.base.denoiser
    trained = {p for group in model.trainable_parameters().values() for p in group.values()}
    names = set(getattr(denoiser, "_no_split_modules", None) or ())
    blocks = [module for module in denoiser.modules() if type(module).__name__ in names]
    for part in (*reversed(blocks), denoiser):  # the inner ones first
        # All give their weights up after a pass: what the first process alone does, such as saving, also
        # makes the denoiser do so, and then the processes would no longer gather the same.
        fully_shard(part, reshard_after_forward=True, ignored_params=trained)
    return True


def _is_set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1")
