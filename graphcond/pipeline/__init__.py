"""Drawing with a model: a prompt and one or several graphs to pictures."""

from graphcond.pipeline.arguments import check_choice as check_choice
from graphcond.pipeline.arguments import check_count as check_count
from graphcond.pipeline.arguments import check_generators as check_generators
from graphcond.pipeline.arguments import check_steps as check_steps
from graphcond.pipeline.arguments import texts_of as texts_of
from graphcond.pipeline.boxes import with_predicted_boxes as with_predicted_boxes
from graphcond.pipeline.graph_pipeline import GraphPipeline as GraphPipeline
from graphcond.pipeline.graph_pipeline import PipelineOutput as PipelineOutput
from graphcond.pipeline.graphs import NEIGHBORS as NEIGHBORS
from graphcond.pipeline.graphs import SCENE as SCENE
from graphcond.pipeline.graphs import graph_arguments as graph_arguments
from graphcond.pipeline.graphs import graphs_by_condition as graphs_by_condition
