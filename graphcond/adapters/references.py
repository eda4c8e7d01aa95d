"""References: the denoiser looks at pictures as they are, without any training."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from graphcond.adapters.base import Injector
from graphcond.adapters.config import ReferencesConfig
from graphcond.bases.base import Base
from graphcond.config import checked
from graphcond.denoiser_inputs import DenoiserInputs, References
from graphcond.errors import InputError
from graphcond.signals import ReferenceLatents, Signal


@checked(ReferencesConfig)
class ReferencesInjector(Injector[ReferenceLatents]):
    """Shows latents of pictures to the denoiser's self-attention, beside those of the picture that is drawn.

    How it looks at them is up to the base; see `graphcond.bases.Base.takes_references`. Nothing is trained,
    and nothing is put into the base. ``scale`` multiplies the share of the references in the softmax.
    """

    reads: ClassVar[type[Signal]] = ReferenceLatents

    def __init__(self) -> None:
        super().__init__()
        self._injected = False

    def inject(self, base: Base) -> None:
        """Check that ``base`` takes references.

        Raises:
            InputError: it does not.
            RuntimeError: injected already.
        """
        if self._injected:
            raise RuntimeError("the references are injected already; eject them first")
        if not base.takes_references:
            raise InputError(
                f"{type(base).__name__} does not take references",
                place="base",
                remedy="use another base, such as stable_diffusion, sdxl or flux2, or another injector",
            )
        self._injected = True

    def eject(self) -> None:
        """Leave the base, in which nothing was changed."""
        self._injected = False

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: ReferenceLatents | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with the latents of ``signal`` behind earlier references.

        Raises:
            InputError: earlier references have another size.
            RuntimeError: not injected.
        """
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        if not self._injected:
            raise RuntimeError("the references are not injected")
        absent = ~signal.present[..., None, None, None]
        shown = References(signal.latents.masked_fill(absent, 0), signal.present.float() * scale)
        before = inputs.references
        if before is not None:
            if before.latents.shape[2:] != shown.latents.shape[2:]:
                sizes = [" x ".join(map(str, one.latents.shape[3:])) for one in (before, shown)]
                raise InputError(
                    f"references of two conditions have latents of {sizes[0]} and of {sizes[1]}",
                    place="references",
                    remedy="give pictures of one size",
                )
            shown = References(
                torch.cat([before.latents, shown.latents], 1), torch.cat([before.weight, shown.weight], 1)
            )
        return replace(inputs, references=shown)
