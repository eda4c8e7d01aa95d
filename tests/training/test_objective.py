from __future__ import annotations

import torch

from graphcond.training.objective import squared_error


def test_squared_errors_are_per_sample_and_in_float32() -> None:
    errors = squared_error(torch.full((2, 4, 8, 8), 3.0, dtype=torch.float16), torch.ones(2, 4, 8, 8))
    assert errors.dtype == torch.float32
    assert errors.tolist() == [4.0, 4.0]
