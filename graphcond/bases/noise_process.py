"""Noise processes of bases: noising, target, loss weight, timesteps, and the schedulers that fit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DDPMScheduler, SchedulerMixin
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.bases.config import predicted_by
from graphcond.errors import InputError

Latents = Float[Tensor, "b channels height width"]
Times = Int64[Tensor, " b"] | Float[Tensor, " b"]


class NoiseProcess(ABC):
    """The forward process of a base, and the prediction of its denoiser.

    Timesteps run from 0 (clean) to `steps` (noise), in the unit in which the base's schedulers count.

    Args:
        scheduler: of the base; its config says everything.

    Raises:
        InputError: it is a scheduler for another process.
    """

    name: ClassVar[str]
    """Name of the process."""

    def __init__(self, scheduler: SchedulerMixin) -> None:
        self.config = scheduler.config
        self.predicts = predicted_by(type(scheduler).__name__, scheduler.config)
        if (self.predicts == "flow") != (self.name == Flow.name):
            raise InputError(
                f"expected one for {self.name}, got {type(scheduler).__name__}, which is made for a denoiser "
                f"that predicts '{self.predicts}'",
                place="the base's scheduler",
                remedy="restore the scheduler of the original model",
            )
        self.steps: int = scheduler.config.num_train_timesteps

    @abstractmethod
    def timesteps(self, uniform: Float[Tensor, " b"], kind: str, size: tuple[int, int]) -> Times:
        """Timesteps from uniform numbers in 0..1.

        Args:
            uniform: the numbers.
            kind: a distribution of `graphcond.bases.config.TIMESTEPS`, or ``auto`` for the process's own.
                ``high_noise`` takes the square root of the number: the noisy steps, where palette and
                composition are decided, come more often.
            size: height and width of the latents.
        """

    @abstractmethod
    def noisy(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """Latents at ``timesteps`` of the forward process."""

    @abstractmethod
    def target(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """The training target of the denoiser."""

    @abstractmethod
    def loss_weight(self, timesteps: Times, min_snr_gamma: float) -> Float[Tensor, " b"]:
        """The min-SNR weight of every sample's squared error (Hang et al., arXiv 2303.09556).

        Raises:
            InputError: the process has no such weight.
        """

    def check_scheduler(self, scheduler: SchedulerMixin) -> None:
        """Check that a scheduler solves the process backwards.

        Raises:
            InputError: it is no scheduler of diffusers, or made for a denoiser that predicts something else.
        """
        if not isinstance(scheduler, SchedulerMixin):
            raise InputError(
                f"expected a scheduler of diffusers, got a {type(scheduler).__name__}",
                place="scheduler",
                remedy="use SchedulerClass.from_config(model.base.scheduler.config)",
            )
        name, expected = type(scheduler).__name__, self.predicts
        found = predicted_by(name, scheduler.config)
        if found != expected:
            raise InputError(
                f"{name} is made for a denoiser that predicts '{found}', the base predicts '{expected}'",
                place="scheduler",
                remedy=f"use a scheduler for {self.name} with the settings of the base: "
                "SchedulerClass.from_config(model.base.scheduler.config)",
            )

    def set_timesteps(
        self,
        scheduler: SchedulerMixin,
        steps: int,
        *,
        device: torch.device,
        size: tuple[int, int],
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> int:
        """Let ``scheduler`` prepare its steps for latents of height and width ``size``; returns how many.

        Args:
            scheduler: keeps the timesteps.
            steps: how many to make, if neither of the following is given.
            device: of the timesteps.
            size: height and width of the latents.
            timesteps: to use instead of the scheduler's own, descending.
            sigmas: noise levels to use instead.

        Raises:
            InputError: it cannot make so many, or so few, or takes no timesteps or sigmas.
        """
        given = {"timesteps": timesteps, "sigmas": sigmas}
        own = {name: values for name, values in given.items() if values is not None}
        if own:
            try:
                count = len(next(iter(own.values())))
                scheduler.set_timesteps(device=device, **own, **self._shift(scheduler, count, size))
            except (AssertionError, TypeError, ValueError) as error:
                raise InputError(
                    f"{type(scheduler).__name__} does not take them ({str(error).splitlines()[0]})",
                    place=", ".join(own),
                    remedy="give num_inference_steps instead, or use another scheduler",
                ) from error
            return len(scheduler.timesteps)
        try:
            self._prepare(scheduler, steps, device, size)
        except (
            Exception
        ) as error:  # PNDM fails in numpy at fewer than 4 steps; others have checks of their own
            raise InputError(
                f"{type(scheduler).__name__} cannot make {steps} steps ({str(error).splitlines()[0]})",
                place="num_inference_steps",
                remedy="use another number of steps, or another scheduler",
            ) from error
        return steps

    def _prepare(
        self, scheduler: SchedulerMixin, steps: int, device: torch.device, size: tuple[int, int]
    ) -> None:
        scheduler.set_timesteps(steps, device=device)

    def _shift(self, scheduler: SchedulerMixin, steps: int, size: tuple[int, int]) -> dict[str, float]:
        """Arguments of ``set_timesteps`` that follow from the size of the picture."""
        return {}


class Diffusion(NoiseProcess):
    """x_t = sqrt(a_t) x + sqrt(1 - a_t) e; the denoiser predicts e, or the velocity (arXiv 2202.00512)."""

    name: ClassVar[str] = "diffusion"

    @cached_property
    def _chain(self) -> DDPMScheduler:
        return DDPMScheduler.from_config(self.config)

    def timesteps(self, uniform: Float[Tensor, " b"], kind: str, size: tuple[int, int]) -> Times:
        """Whole timesteps in 0..steps - 1; uniform by themselves."""
        share = uniform.sqrt() if kind == "high_noise" else uniform
        return (share * self.steps).long().clamp(max=self.steps - 1)

    def noisy(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """Latents at ``timesteps`` of the forward process."""
        return self._chain.add_noise(latents, noise, timesteps)

    def target(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """The noise, or the velocity."""
        if self.predicts == "v_prediction":
            return self._chain.get_velocity(latents, noise, timesteps)
        return noise

    def loss_weight(self, timesteps: Times, min_snr_gamma: float) -> Float[Tensor, " b"]:
        """min(SNR, gamma) on the prediction of the clean latents.

        That is min(SNR, gamma) / SNR on the noise and min(SNR, gamma) / (SNR + 1) on the velocity. At zero
        terminal SNR it is 1 on the noise, its limit, and 0 on the velocity.
        """
        signal = self._chain.alphas_cumprod.double()[timesteps.cpu()]
        snr = signal / (1 - signal)
        if self.predicts == "v_prediction":
            weight = snr.clamp(max=min_snr_gamma) / (snr + 1)
        else:
            weight = (min_snr_gamma / snr).clamp(max=1.0)
        return weight.float().to(timesteps.device)


class Flow(NoiseProcess):
    """x_s = (1 - s) x + s e with s in 0..1; the denoiser predicts e - x (flow matching, arXiv 2403.03206).

    Large pictures need more noise for the same difficulty, so s is shifted towards 1:
    s -> shift s / (1 + (shift - 1) s). The scheduler's config gives the shift, as a number or as a line in
    the number of picture tokens (``use_dynamic_shifting``).

    Args:
        scheduler: of the base.
        patch: side, in latents, of the square that one picture token covers.
        drawing_exponent: the log of the shift for drawing, from the numbers of tokens and of steps, where it
            is not on the line of training and the scheduler's shift is not a number.
    """

    name: ClassVar[str] = "flow matching"

    def __init__(
        self,
        scheduler: SchedulerMixin,
        *,
        patch: int = 1,
        drawing_exponent: Callable[[int, int], float] | None = None,
    ) -> None:
        super().__init__(scheduler)
        self.patch, self._drawing_exponent = patch, drawing_exponent

    def timesteps(self, uniform: Float[Tensor, " b"], kind: str, size: tuple[int, int]) -> Times:
        """S times `steps`; logit-normal and shifted by default."""
        if kind == "uniform":
            return uniform * self.steps
        if kind == "high_noise":
            return uniform.sqrt() * self.steps
        share = torch.special.ndtri(uniform.double()).sigmoid()
        if not self.config.get("use_dynamic_shifting"):
            shift = float(self.config.get("shift") or self.config.get("flow_shift") or 1.0)
        elif self.config.get("time_shift_type", "exponential") == "exponential":
            shift = math.exp(self._exponent(size))
        else:
            shift = self._exponent(size)
        return (shift * share / (1 + (shift - 1) * share)).float() * self.steps

    def noisy(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """(1 - s) x + s e."""
        share = (timesteps.to(latents.dtype) / self.steps).view(-1, 1, 1, 1)
        return (1 - share) * latents + share * noise

    def target(self, latents: Latents, noise: Latents, timesteps: Times) -> Latents:
        """E - x."""
        return noise - latents

    def loss_weight(self, timesteps: Times, min_snr_gamma: float) -> Float[Tensor, " b"]:
        """Refused: min-SNR is defined for diffusion.

        Raises:
            InputError: always.
        """
        raise InputError(
            "a base with flow matching has no such weight",
            place="training.min_snr_gamma",
            remedy="leave it out",
        )

    def _prepare(
        self, scheduler: SchedulerMixin, steps: int, device: torch.device, size: tuple[int, int]
    ) -> None:
        """As for any scheduler; a scheduler whose shift depends on the picture's size gets the size."""
        shift = self._shift(scheduler, steps, size)
        if not shift:
            super()._prepare(scheduler, steps, device, size)
            return
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), device=device, **shift)

    def _shift(self, scheduler: SchedulerMixin, steps: int, size: tuple[int, int]) -> dict[str, float]:
        """Diffusers' mu, for a scheduler whose shift depends on the picture's size."""
        if not scheduler.config.get("use_dynamic_shifting"):
            return {}
        if self._drawing_exponent is None:
            return {"mu": self._exponent(size)}
        return {"mu": self._drawing_exponent(self._tokens(size), steps)}

    def _exponent(self, size: tuple[int, int]) -> float:
        """Diffusers' mu, which grows from ``base_shift`` to ``max_shift`` with the number of tokens."""
        config: Any = self.config
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        first, last = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return float(first + (last - first) * (self._tokens(size) - low) / (high - low))

    def _tokens(self, size: tuple[int, int]) -> int:
        return (size[0] // self.patch) * (size[1] // self.patch)
