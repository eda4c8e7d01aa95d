"""Tokens of objects in the language of the base's text encoder."""

from __future__ import annotations

from typing import Any

from graphcond.objectives.base import Objective, ObjectiveResult, PretrainBatch


class PhrasesObjective(Objective):
    """Regresses each object's token on the base's own state of the object's phrase, in mean squared error.

    It needs graphs alone. Tokens that begin so can be read at once by a copy of the base's cross-attention.
    ``explained_variance`` is the share of the states' variance within the batch that the tokens explain.
    """

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``; 0 where no object has a phrase."""
        if batch.phrases is None or batch.phrased is None:
            raise ValueError("the batch lacks phrases")
        tokens = encoder.object_tokens(batch.context)
        found, wanted = tokens[batch.phrased], batch.phrases[batch.phrased].to(tokens.dtype)
        if not len(found):
            return ObjectiveResult(tokens.sum() * 0, {})
        loss = (found - wanted).square().mean()
        variance = (wanted - wanted.mean(0)).square().mean().clamp(min=1e-12)
        return ObjectiveResult(loss, {"explained_variance": 1 - float(loss.detach() / variance)})
