"""Counts of a source of scene graphs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from graphcond.io.tally import BadRows, Tally
from graphcond.scenes.load import read_scene_source

SHOWN = 5


@dataclass(frozen=True)
class SceneReport:
    """Counts of a source of scenes.

    ``object_classes``, ``predicate_classes`` and ``attribute_classes`` are numbers of different words. They
    leave out sg2im's dummies, which published vocabularies count. The ``frequent_*`` hold the most frequent
    words.
    ``notes`` are sentences about dropped scenes, and about missing or suspicious data; ``tally`` counts what
    was read and left out.
    """

    scenes: int
    splits: dict[str, int]
    objects: int
    relationships: int
    attributes: int
    object_classes: int
    predicate_classes: int
    attribute_classes: int
    frequent_objects: dict[str, int]
    frequent_predicates: dict[str, int]
    objects_per_scene: tuple[int, float, int]
    """The least, the mean and the most."""
    with_boxes: int
    with_masks: int
    with_picture: int
    without_relationships: int
    self_relations: int
    notes: tuple[str, ...]
    tally: Tally


def inspect_scenes(
    source: Path | str,
    *,
    format: str | None = None,
    pictures: Path | str | None = None,
    skip_bad_rows: bool = False,
) -> SceneReport:
    """Count the scenes of a source, their objects and their relations.

    Args:
        source: a file or folder of any format.
        format: the name of one of `scene_formats`; by default it is detected.
        pictures: the folder that pictures are in.
        skip_bad_rows: leave broken scenes out and count them, in place of an error.

    Raises:
        InputError: the source holds no scenes, or broken ones.
    """
    bad = BadRows(skip_bad_rows)
    read = read_scene_source(source, format=format, pictures=pictures, bad=bad)
    graphs = [record.graph for record in read.records]
    objects = Counter(label for graph in graphs for label in graph.objects)
    predicates = Counter(relation.predicate for graph in graphs for relation in graph.relationships)
    attributes = Counter(word for graph in graphs for row in graph.attributes for word in row)
    sizes = [len(graph) for graph in graphs]
    return SceneReport(
        scenes=len(graphs),
        splits=dict(Counter(record.split for record in read.records if record.split)),
        objects=objects.total(),
        relationships=predicates.total(),
        attributes=attributes.total(),
        object_classes=len(objects),
        predicate_classes=len(predicates),
        attribute_classes=len(attributes),
        frequent_objects=dict(objects.most_common(SHOWN)),
        frequent_predicates=dict(predicates.most_common(SHOWN)),
        objects_per_scene=(min(sizes), round(sum(sizes) / len(sizes), 2), max(sizes)),
        with_boxes=sum(1 for graph in graphs if graph.boxes),
        with_masks=sum(1 for graph in graphs if graph.masks is not None),
        with_picture=sum(1 for record in read.records if record.picture is not None),
        without_relationships=sum(1 for graph in graphs if not graph.relationships),
        self_relations=sum(1 for graph in graphs for r in graph.relationships if r.subject == r.object),
        notes=read.notes,
        tally=read.tally,
    )
