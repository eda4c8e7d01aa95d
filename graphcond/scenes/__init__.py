"""Reading scene graphs, storing them as folders, drawing them, and looking at them."""

from graphcond.drawing.scene_graphs import draw_boxes as draw_boxes
from graphcond.drawing.scene_graphs import draw_graph as draw_graph
from graphcond.drawing.scene_graphs import readable_size as readable_size
from graphcond.scenes.boxes import BOX_FORMATS as BOX_FORMATS
from graphcond.scenes.folder import DrawnScenes as DrawnScenes
from graphcond.scenes.folder import open_scene_folder as open_scene_folder
from graphcond.scenes.folder import save_scene_world as save_scene_world
from graphcond.scenes.formats.written import parse_scene as parse_scene
from graphcond.scenes.formats.written import scene_as_dict as scene_as_dict
from graphcond.scenes.inspect import SceneReport as SceneReport
from graphcond.scenes.inspect import inspect_scenes as inspect_scenes
from graphcond.scenes.layout_prompts import layout_prompt as layout_prompt
from graphcond.scenes.load import load_scene_set as load_scene_set
from graphcond.scenes.load import read_scene as read_scene
from graphcond.scenes.load import read_scene_source as read_scene_source
from graphcond.scenes.load import read_scenes as read_scenes
from graphcond.scenes.load import scene_formats as scene_formats
from graphcond.scenes.load import write_scene as write_scene
from graphcond.scenes.records import SceneFormat as SceneFormat
from graphcond.scenes.records import SceneInput as SceneInput
from graphcond.scenes.records import SceneRecord as SceneRecord
from graphcond.scenes.records import SceneSource as SceneSource
