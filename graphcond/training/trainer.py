"""The training loop: steps, and what happens between them."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch
from accelerate import Accelerator

from graphcond.errors import TrainingError
from graphcond.io.stops import Stop, Stopped, held_stops
from graphcond.recipe import Recipe
from graphcond.saving.model_card import CardFacts
from graphcond.training.checkpoint import checkpoint_folder, list_checkpoints, written
from graphcond.training.device import PeakMemory, compiled, generators_kept, text_encoders_apart
from graphcond.training.metrics import Recent, append_record
from graphcond.training.optimizer import rate_factor
from graphcond.training.paths import RunFolder
from graphcond.training.prepare import Prepared
from graphcond.training.preview import Previews
from graphcond.training.randomness import BatchPlan
from graphcond.training.reach import Reach
from graphcond.training.report import Report, StepBar
from graphcond.training.sharding import shard_base
from graphcond.training.state import TrainingState, train_mode
from graphcond.training.step import StepFigures, Stepper
from graphcond.training.trackers import finish_trackers, log_picture, log_text
from graphcond.training.validation import Validation, gap_sentence, injector_figures, judged, warnings_of


class Trainer:
    """Trains what was prepared, and keeps the run folder.

    Args:
        recipe: the recipe of the run.
        prepared: model and examples.
        accelerator: of this process.
        run: where to write.
        report: the display of the run.
    """

    def __init__(
        self, recipe: Recipe, prepared: Prepared, accelerator: Accelerator, run: RunFolder, report: Report
    ) -> None:
        self._config, self._run, self._report = recipe.training, run, report
        self._model, self._accelerator = prepared.model, accelerator
        self.plan = BatchPlan(self._config.batch_size, self._config.accumulate, accelerator.num_processes)
        self.state = TrainingState(
            prepared.model, accelerator, effective_batch=self.plan.effective, data=prepared.train.identity
        )
        self._take_step = Stepper(
            prepared.model,
            prepared.train,
            self.plan,
            groups=self.state.groups,
            optimizer=accelerator.prepare_optimizer(self.state.optimizer),
            accelerator=accelerator,
            rate_factor=rate_factor(self._config),
            always=prepared.always,
            own_losses=prepared.own_losses,
            say=report.say,
        )
        self._validation = Validation(prepared.validation, self._config)
        self._previews = Previews(prepared.validation, self._config.previews, recipe.data.resolution)
        self.newest: dict[str, Any] = {}
        self.warnings: list[str] = []
        self._validations = 0
        self._recent = Recent()
        self._memory = PeakMemory(accelerator.device)
        self._prepared, self._sharded = prepared, False

    @property
    def parameters(self) -> dict[str, int]:
        """The number of trained parameters by group."""
        return {
            name: sum(parameter.numel() for parameter in group.values())
            for name, group in self.state.groups.items()
        }

    def begin(self, reach: Reach | None) -> None:
        """Record the facts of the run that no step changes, and what the base can draw of its pictures."""
        networks = (self._model.base.denoiser, *self._model.base.others)
        trained = {id(p) for group in self.state.groups.values() for p in group.values()}
        frozen = (p.numel() for one in networks for p in one.parameters() if id(p) not in trained)
        facts = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": str(self._accelerator.device),
            "parameters": self.parameters,
            "frozen_parameters": sum(frozen),
            "targets": len(self._prepared.train),
            "validated_on": len(self._prepared.validation),
            "held_out": self._prepared.held_out,
            "reach": None if reach is None else asdict(reach),
        }
        self._record("start", facts)

    def end(self, failure: str | None) -> None:
        """Record the seconds by stage of this sitting, and the error that ended it."""
        if self._accelerator.is_main_process:
            record = {"step": self.state.step, "kind": "end", "seconds": dict(self._report.seconds)}
            if failure is not None:
                record |= {"kind": "failure", "error": failure}
            with suppress(OSError):  # where the disk is full, the failure itself has been said
                append_record(self._run.metrics, record)

    def fit(self) -> None:
        """Run the steps that are left, then save the model as ``final``.

        Raises:
            TrainingError: a loss or gradient is not finite, or a checkpoint cannot be written.
            Stopped: a signal stopped the run; a checkpoint was written before.
        """
        device = self._accelerator.device
        self._sharded = self._take_step.alike = shard_base(self._model, self._accelerator)
        with (
            torch.random.fork_rng(devices=generators_kept(device), device_type=device.type),
            held_stops() as stop,
            self._report.steps(self.state.step, self._config.steps) as bar,
            text_encoders_apart(self._model.base, device) as self._put_text_away,
            compiled(self._model.base, self._config.compile),
        ):
            train_mode(self._model)
            if self.state.step == 0:
                self._preview()
            while self.state.step < self._config.steps:
                figures = self._step()
                self._after_step(figures, bar)
                if self.state.step < self._config.steps:
                    self._stop_if_asked(stop)
        self.state.finish()
        self._model.train(False)
        if self._accelerator.is_main_process:
            with written(self._run.checkpoints, self._run.final):
                self._model.card = self._card()
                self._model.save_pretrained(self._run.final)
        finish_trackers(self._accelerator)  # which would otherwise be closed twice
        self._accelerator.end_training()

    def _step(self) -> StepFigures:
        start = time.perf_counter()
        try:
            figures = self._take_step(self.state.step, detailed=self._due(self._config.log_every, after=1))
        except TrainingError as error:
            usable = list_checkpoints(self._run.checkpoints)
            last = (
                f"the last good checkpoint is {usable[-1]}" if usable else "no checkpoint was written before"
            )
            raise TrainingError(
                f"{error.problem}; {last}",
                place=self._run.root,
                remedy=error.remedy
                or "lower training.learning_rate or use another mixed_precision, and look at the data",
            ) from error
        self.state.advance()
        self._recent.add(figures, self.plan.effective, time.perf_counter() - start)
        return figures

    def _after_step(self, figures: StepFigures, bar: StepBar) -> None:
        config = self._config
        if self._due(config.log_every):
            self._log(figures, bar)
        if self._due(config.validate_every):
            if self._draws:
                with self._report.timed("validation"), self._eager(), self.state.averaged():
                    found = self._validation(self._model, self._accelerator)
                self._record("validation", found.record())
                bar.note(gap=f"{found.gap_percent.mean:.1f} %")
                if found.boxes_hidden is not None:
                    bar.note(hidden=f"{100 * (1 - found.boxes_hidden / found.no_graph):.1f} % without boxes")
            self._accelerator.wait_for_everyone()
            self._validations += 1
        if judged(self.state.step, config.steps, self._validations):
            # What no loss shows, that the graph changes nothing: said once before the end, and at the end.
            said_before = bool(self.warnings) and self.state.step < config.steps
            self.warnings = warnings_of(self._model, self.newest.get("validation"))
            if self.warnings and not said_before:
                for text in self.warnings:
                    self._report.say(f"Warning: {text}")
                self._record("warning", {"warnings": self.warnings})
        if self._due(config.preview_every):
            self._preview()
        if self._due(config.checkpoint_every) or self.state.step == config.steps:
            self._checkpoint()
        bar.advance(self.state.step)

    @property
    def _draws(self) -> bool:
        """True if this process validates and draws: the main one, or all where they divide the base."""
        return self._accelerator.is_main_process or self._sharded

    def _eager(self) -> AbstractContextManager[Any]:
        """A block without compiling, which takes longer than it saves for what is done rarely."""
        return torch.compiler.set_stance("force_eager") if self._config.compile else nullcontext()

    def _due(self, every: int | None, *, after: int = 0) -> bool:
        """True if what is done in each ``every``-th step is due, now or ``after`` some more steps."""
        step = self.state.step + after
        return every is not None and (step % every == 0 or step == self._config.steps)

    def _log(self, figures: StepFigures, bar: StepBar) -> None:
        recent, self._recent = self._recent, Recent()
        record = {
            "loss": recent.loss,
            "learning_rate": figures.rates,
            "gradient_norm": figures.norm,
            "gradient_norms": figures.norms,
            "module_gradient_norms": figures.modules,
            "injectors": injector_figures(self._model),
            "own_losses": figures.own,
            "samples_per_second": recent.rate,
            "seconds_per_step": recent.step_seconds,
            "memory": asdict(self._memory.now()),
            "trained_samples": recent.trained,
            "samples": recent.samples,
            "effective_batch": self.plan.effective,
            "samples_at_once": self._take_step.at_once,
        }
        self._record("train", record)
        loss = "-" if recent.loss is None else f"{recent.loss:.4f}"
        bar.note(loss=loss, rate=f"{recent.rate:.1f} samples/s")

    def _preview(self) -> None:
        if self._config.preview_every is not None and self._draws:
            name, main = f"step-{self.state.step:08d}.png", self._accelerator.is_main_process
            file = self._run.previews / name
            with (
                self._report.timed("previews"),
                written(self._run.checkpoints, file),
                self._eager(),
                self.state.averaged(),
                self._accelerator.autocast(),
            ):
                self._previews.write(self._model, file if main else None)
                log_picture(self._accelerator.trackers, "previews", file, self.state.step)
            self._put_text_away()
        self._accelerator.wait_for_everyone()

    def _checkpoint(self) -> None:
        if self._accelerator.is_main_process:
            with self._report.timed("checkpoints"):
                self.state.write(self._run.checkpoints, keep=self._config.keep_checkpoints)
        self._accelerator.wait_for_everyone()

    def _record(self, kind: str, figures: dict[str, Any]) -> None:
        record = {"step": self.state.step, "kind": kind, **figures}
        self.newest[kind] = record
        if self._accelerator.is_main_process:
            with written(self._run.checkpoints, self._run.metrics):
                append_record(self._run.metrics, record)
            self._accelerator.log(_flat(kind, figures), step=self.state.step)
            for text in figures.get("warnings", ()):
                log_text(self._accelerator.trackers, "warning", text, self.state.step)

    def _stop_if_asked(self, stop: Stop) -> None:
        number = stop.signal
        if self._accelerator.num_processes > 1:  # all processes stop where one was asked to
            numbers = self._accelerator.gather(torch.tensor([number], device=self._accelerator.device))
            number = int(numbers.max())
        if not number:
            return
        if not checkpoint_folder(self._run.checkpoints, self.state.step).is_dir():
            self._checkpoint()
        self._report.say(f"Stopped after step {self.state.step}")
        raise Stopped(number)

    def _card(self) -> CardFacts:
        """The figures and the last pictures of this training for the model card."""
        train, memory = self.newest.get("train", {}), self._memory.now()
        found = {"optimizer steps": f"{self.state.step:,} of {self.plan.effective} samples"}
        if train.get("seconds_per_step") is not None:
            found["seconds per step"] = f"{train['seconds_per_step']:.3g} on {self._accelerator.device}"
        found["peak memory"] = f"{memory.bytes / 1e9:.2f} GB of the {memory.of}"
        if "validation" in self.newest:
            found["graph gap"] = gap_sentence(self.newest["validation"])
        previews = sorted(self._run.previews.glob("step-*.png"))
        return CardFacts(found, preview=previews[-1] if previews else None)


def _flat(path: str, value: Any) -> dict[str, float]:
    """Nested figures as ``a/b`` for a tracker; values that are not numbers are omitted."""
    if isinstance(value, dict):
        return {
            key: one for name, item in value.items() for key, one in _flat(f"{path}/{name}", item).items()
        }
    return {path: float(value)} if isinstance(value, int | float) else {}
