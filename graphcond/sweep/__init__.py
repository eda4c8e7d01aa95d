"""Sweeps: recipes trained, drawn with and scored row by row, and one table of them.

A score is a class in ``scores`` with its config in ``scores/config.py``; so is a verdict in ``verdicts``.
Other packages offer configs of theirs under the entry points ``graphcond.scores`` and ``graphcond.verdicts``.
"""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.sweep.config import SweepConfig as SweepConfig
    from graphcond.sweep.config import load_sweep as load_sweep
    from graphcond.sweep.config import parse_sweep as parse_sweep
    from graphcond.sweep.engine import SweepState as SweepState
    from graphcond.sweep.engine import run_sweep as run_sweep
    from graphcond.sweep.exam import Exam as Exam
    from graphcond.sweep.results import Results as Results
    from graphcond.sweep.scores.base import Figure as Figure
    from graphcond.sweep.scores.base import Score as Score
    from graphcond.sweep.scores.base import Scored as Scored
    from graphcond.sweep.scores.config import ScoreConfig as ScoreConfig
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
