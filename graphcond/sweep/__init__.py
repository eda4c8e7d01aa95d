"""Sweeps: recipes trained, drawn with and scored row by row, and one table of them.

A score is a class in ``scores``, its config in `graphcond.sweep.config`; so is a verdict in ``verdicts``.
"""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.sweep.config import SweepConfig as SweepConfig
    from graphcond.sweep.config import load_sweep as load_sweep
    from graphcond.sweep.config import parse_sweep as parse_sweep
    from graphcond.sweep.engine import SweepState as SweepState
    from graphcond.sweep.engine import run_sweep as run_sweep
    from graphcond.sweep.results import Results as Results
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
