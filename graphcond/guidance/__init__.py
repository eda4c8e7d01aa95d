"""Classifier-free guidance over a text and graphs: the sum, its predictions, and their calls."""

from graphcond.guidance.branches import Branch as Branch
from graphcond.guidance.branches import Call as Call
from graphcond.guidance.branches import Prediction as Prediction
from graphcond.guidance.calls import BranchCaller as BranchCaller
from graphcond.guidance.calls import GuidedGraph as GuidedGraph
from graphcond.guidance.calls import release_null as release_null
from graphcond.guidance.predictions import BranchPredictions as BranchPredictions
from graphcond.guidance.rule import GraphGuidance as GraphGuidance
from graphcond.guidance.rule import GuidanceMode as GuidanceMode
from graphcond.guidance.rule import rescaled as rescaled
from graphcond.guidance.stacking import stacked as stacked
