"""Training: one trainer for every recipe."""

from graphcond.training.run import TrainedRun as TrainedRun
from graphcond.training.run import train as train
