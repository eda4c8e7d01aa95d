"""Training mode, which a frozen encoder stays out of."""

from __future__ import annotations

from graphcond.model import GraphModel


def train_mode(model: GraphModel) -> None:
    """Switch ``model`` to training; an encoder of which nothing is trained keeps its dropout off."""
    model.train()
    for condition in model.conditions.values():
        if not any(parameter.requires_grad for parameter in condition.encoder.parameters()):
            condition.encoder.train(False)
