"""Training: one trainer for every recipe.

Its names are imported when they are first used: `graphcond.report` reads run folders without torch.
"""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.training.run import TrainedRun as TrainedRun
    from graphcond.training.run import train as train

if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
