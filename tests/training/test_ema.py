from __future__ import annotations

import torch
from torch import nn

from graphcond.training.state import Ema


def groups() -> dict[str, dict[str, nn.Parameter]]:
    return {"one": {"a": nn.Parameter(torch.zeros(2)), "b": nn.Parameter(torch.zeros(3))}}


def test_the_average_follows_its_formula() -> None:
    parameters, decay = groups(), 0.3
    ema, expected = Ema(parameters, decay), torch.zeros(3)
    for step in range(1, 8):
        with torch.no_grad():
            parameters["one"]["b"].fill_(float(step))
        ema.update()
        rate = 0.0 if step == 1 else min(decay, step / (step + 9))
        expected = rate * expected + (1 - rate) * step
    with ema.applied():
        torch.testing.assert_close(parameters["one"]["b"].detach(), expected)
    assert parameters["one"]["b"].tolist() == [7.0, 7.0, 7.0]
    ema.keep()
    torch.testing.assert_close(parameters["one"]["b"].detach(), expected)


def test_weights_come_back_after_an_error() -> None:
    parameters = groups()
    ema = Ema(parameters, 0.5)
    with torch.no_grad():
        parameters["one"]["a"].fill_(1.0)
    try:
        with ema.applied():
            raise RuntimeError
    except RuntimeError:
        pass
    assert parameters["one"]["a"].tolist() == [1.0, 1.0]
