"""One interface to graphs and to sets of scenes, for training, drawing and evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable, rows_named
from graphcond.bases.base import Base
from graphcond.context import NeighborContext, SceneContext
from graphcond.data.contexts import AnySource, GraphContexts
from graphcond.data.scene_contexts import SceneContexts, embed_words, notes_on_limits
from graphcond.errors import InputError, did_you_mean
from graphcond.features.feature_cache import EmbeddingTable, FeatureCache
from graphcond.features.load import Extractors
from graphcond.features.words import WordTable
from graphcond.graphs.columns import PROMPTS, prompts_in
from graphcond.io.files import file_inside
from graphcond.progress import Progress
from graphcond.recipe import ConditionConfig, Recipe
from graphcond.recipe.sections import AnyData
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.splits import VALIDATION
from graphcond.worlds import ARTISTS, SHAPES, SUBJECTS

Rows = Int64[np.ndarray, " _"]


class Dataset(ABC):
    """Targets with their prompts, pictures and splits, and the graphs that condition them.

    Row ``i`` of every column belongs to target ``i``: a node of a graph, or a scene.
    """

    noun: ClassVar[str]
    """The word for one row: node, scene."""

    chosen: ClassVar[str]
    """The word for what samplers choose for a row."""

    embedded: ClassVar[str]
    """The word for what extractors embed."""

    graph_of: ClassVar[str]
    """The word for what a row must have to be conditioned."""

    drawn_from: ClassVar[str]
    """The word for what a row must have to be drawn and scored."""

    content: ClassVar[str]
    """The kind of data, in words."""

    makes: ClassVar[type[NeighborContext | SceneContext]]
    """The context that samplers of such data make."""

    may_mirror: ClassVar[bool]
    """True if a mirrored picture still fits its graph."""

    relation_names: tuple[str, ...] = ()
    """Names of the relations of a `NeighborContext`, from 1 on."""

    @property
    @abstractmethod
    def columns(self) -> NodeTable | SceneSet:
        """Ids, texts, pictures and splits, row by row."""

    @property
    @abstractmethod
    def root(self) -> Path | None:
        """The folder that the data were read from."""

    @property
    def attributes(self) -> Mapping[str, Sequence[str]]:
        """Further columns of text, by name."""
        return {}

    @property
    @abstractmethod
    def of_world(self) -> bool:
        """True if the data look like those of a world in the package, whose oracle recognizes them."""

    @property
    def graph(self) -> AttributedGraph:
        """The attributed graph.

        Raises:
            InputError: the data are scene graphs.
        """
        raise InputError(
            "expected a graph, got scene graphs",
            place=self.root or "data",
            remedy="use a recipe and data of nodes, such as instructg2i",
        )

    @property
    def scenes(self) -> SceneSet:
        """The scene graphs.

        Raises:
            InputError: the data are a graph of nodes.
        """
        raise InputError(
            "expected scene graphs, got a graph of nodes",
            place=self.root or "data",
            remedy="use a recipe and data of scene graphs, such as sgcond-i",
        )

    def scene_graphs(self, rows: Rows) -> list[SceneGraph]:
        """The scene graphs of ``rows``; none where rows are nodes."""
        return []

    def notes_on_limits(
        self, recipe: Recipe, rows: Rows, sampled: Callable[[str], Any], base: Base
    ) -> list[str]:
        """A sentence for each limit of the recipe that graphs of ``rows`` exceed.

        Args:
            recipe: of the conditions.
            rows: rows.
            sampled: gives what the sampler of a condition chose for them; called where something is limited.
            base: reads sentences.
        """
        return []

    def without_boxes(self) -> Dataset:
        """The same data, without the boxes and masks of scenes."""
        return self

    @property
    def ids(self) -> Sequence[str]:
        """A name for each row, without repeats."""
        return self.columns.ids

    @property
    def texts(self) -> Sequence[str]:
        """The prompt of each row."""
        return self.columns.texts

    def prompts(self, row: int) -> Sequence[str]:
        """All prompts of a row, the one in `texts` first."""
        return (self.texts[row],)

    def __len__(self) -> int:
        return len(self.columns)

    def labels(self, column: str) -> Sequence[str]:
        """A further column of text, or the type of nodes: one value for each row.

        Raises:
            InputError: there is no such column.
        """
        columns = dict(self.attributes)
        types = getattr(self.columns, "types", None)
        if types is not None:
            columns.setdefault("type", types)
        if column not in columns:
            raise InputError(
                f"the {self.noun}s have no column '{column}'",
                place=self.root,
                remedy=did_you_mean(column, columns) if columns else "add one to the data",
            )
        return columns[column]

    def picture_path(self, row: int) -> Path | None:
        """The picture file of ``row``, None if it has no picture.

        Raises:
            InputError: it would leave the dataset's root folder.
        """
        return file_inside(self.root, self.columns.pictures[row])

    def rows_of(self, *ids: str) -> Rows:
        """The rows of ``ids``.

        Raises:
            InputError: an id does not exist; the nearest one is named.
        """
        return rows_named(ids, self.columns.index, noun=self.noun, place=self.root)

    def rows(self, *splits: str, place: object = None) -> Rows:
        """The rows of one or several splits, ascending; all rows where the data have no splits.

        Args:
            splits: names.
            place: the source of the names, for the error; the data's folder unless given.

        Raises:
            InputError: the data have splits, but no row is in one of these.
        """
        if self.columns.splits is None:
            return np.arange(len(self))
        rows = self.columns.in_split(*splits)
        if len(rows) or not len(self):
            return rows
        raise InputError(
            f"there is no split {' or '.join(map(repr, splits))}",
            place=self.root if place is None else place,
            remedy=did_you_mean(splits[0], set(self.columns.splits) - {""}),
        )

    def targets(self, config: AnyData) -> Rows:
        """The training targets: rows of the training splits that have a picture, ascending.

        Raises:
            InputError: no row is in a training split, or none of them has a picture.
        """
        rows = self._with_picture(self.rows(*config.train_splits, place="data.train_splits"))
        if not len(rows):
            raise InputError(
                "no training target has a picture", place=self.root, remedy="add pictures to the data"
            )
        return rows

    def forbidden(self, *splits: str) -> Rows:
        """The rows of the forbidden ``splits``, ascending; none where the data have no such split."""
        return self.columns.in_split(*splits)

    def note_on_splits(self, config: AnyData) -> str | None:
        """A sentence if the data have splits, and the recipe forbids none of them."""
        found = Counter(split for split in self.columns.splits or () if split)
        if not found or len(self.forbidden(*config.forbidden_splits)):
            return None
        splits = ", ".join(f"{name} {count}" for name, count in found.items())
        named = f"no split is called {' or '.join(config.forbidden_splits)}"
        return (
            f"no {self.noun} is held out from training: the splits are {splits}, and "
            f"{named if config.forbidden_splits else 'data.forbidden_splits is empty'}"
        )

    def held_out(self, config: AnyData) -> Rows:
        """Rows with a picture to validate on, ascending: a validation split, else the forbidden splits.

        Empty where the data have neither. No row of a training split is among them.
        """
        return self._first_of(config, (VALIDATION,), config.forbidden_splits)

    def examined(self, config: AnyData) -> Rows:
        """Rows with a picture to examine a trained model on: the forbidden splits, else a validation split.

        Settings that were chosen by the validation loss have not seen them, where there are both. Empty
        where the data have neither. No row of a training split is among them.
        """
        return self._first_of(config, config.forbidden_splits, (VALIDATION,))

    def note_on_validation(self, config: AnyData) -> str | None:
        """A sentence if the validation loss is measured on rows that an exam draws from."""
        validated, examined = self.held_out(config), self.examined(config)
        if not len(np.intersect1d(validated, examined)):
            return None
        named = self.columns.in_split(VALIDATION)
        if np.isin(validated, named).all():
            why = f"no other {self.noun} is held out"
        elif len(named):
            why = f"no {self.noun} of the split '{VALIDATION}' has a picture and is held out"
        else:
            why = f"no split is called '{VALIDATION}'"
        return (
            f"validation uses the {self.noun}s on which a trained model is examined, since {why}: settings "
            "chosen by the validation loss are chosen on them too"
        )

    def evaluated(self, split: str) -> Rows:
        """The rows of a split that can be drawn and scored, ascending; all such rows without splits.

        Raises:
            InputError: there is no such split, or none of its rows can be drawn.
        """
        rows = np.array([row for row in self.rows(split).tolist() if self._can_be_drawn(row)], np.int64)
        if not len(rows):
            raise InputError(f"no {self.noun} of the split '{split}' has {self.drawn_from}", place=self.root)
        return rows

    def labelled(self, column: str, among: Rows, *, limit: int | None, seed: int) -> Rows:
        """Rows with a label in a column, ascending; at most ``limit``, drawn at random from ``among``.

        Raises:
            InputError: there is no such column, or no row of ``among`` has a label.
        """
        labels = self.labels(column)
        rows = np.array([row for row in among.tolist() if labels[row]], np.int64)
        if not len(rows):
            raise InputError(f"no target has a {column}", place=self.root, remedy="name another column")
        return np.sort(np.random.default_rng(seed).permutation(rows)[:limit])

    def checked(self, targets: Rows) -> Rows:
        """Explicitly named ``targets``, as training targets.

        Raises:
            InputError: there are none, one is not a row, or one has no picture.
        """
        targets = np.asarray(targets, np.int64)
        outside = targets[(targets < 0) | (targets >= len(self))]
        if not len(targets) or len(outside):
            problem = f"there is no {self.noun} {outside[0]}" if len(outside) else "there are none"
            raise InputError(problem, place="targets", remedy=f"name rows from 0 to {len(self) - 1}")
        for target in targets.tolist():
            if self.columns.pictures[target] is None:
                raise InputError(
                    f"{self.noun} '{self.ids[target]}' has no picture", place="targets", remedy="leave it out"
                )
        return targets

    def views(
        self,
        recipe: Recipe,
        extractors: Extractors | None = None,
        *,
        forbidden: Rows | None = None,
        whole: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, AnySource]:
        """The data as each condition of ``recipe`` reads them, by the condition's name.

        Args:
            recipe: names features and samplers.
            extractors: of the recipe's features, to load each network once; new ones unless given.
            forbidden: rows that samplers never choose.
            whole: embed all rows now, which training needs; else rows are embedded when requested.
            progress: called while rows are embedded.

        Raises:
            InputError: the features cannot be computed, or a sampler does not read such data.
        """
        for number, condition in enumerate(recipe.conditions):
            if condition.sampler.makes is not self.makes:
                raise InputError(
                    f"'{condition.sampler.kind}' does not read {self.content}",
                    place=f"conditions.{number}.sampler",
                    remedy="choose another sampler, or other data",
                )
        return self._views(recipe, extractors or Extractors(recipe.features), forbidden, whole, progress)

    @abstractmethod
    def embed_whole(self, recipe: Recipe, extractors: Extractors, progress: Progress | None = None) -> None:
        """Embed what all conditions of ``recipe`` read of all rows; processes that do so at once divide it.

        Raises:
            InputError: the features cannot be computed.
        """

    @abstractmethod
    def _views(
        self,
        recipe: Recipe,
        extractors: Extractors,
        forbidden: Rows | None,
        whole: bool,
        progress: Progress | None,
    ) -> dict[str, AnySource]:
        """As `views`, after the check that samplers read such data."""

    @abstractmethod
    def _can_be_drawn(self, row: int) -> bool:
        """True for rows that have what is named by `drawn_from`."""

    def _first_of(self, config: AnyData, *choices: Sequence[str]) -> Rows:
        """The rows of the first choice of splits that has any with a picture and without training rows."""
        trained = self.columns.in_split(*config.train_splits)
        for splits in choices:
            rows = self._with_picture(np.setdiff1d(self.columns.in_split(*splits), trained))
            if len(rows):
                return rows
        return np.empty(0, np.int64)

    def _with_picture(self, rows: Rows) -> Rows:
        pictures = self.columns.pictures
        return np.array([row for row in rows.tolist() if pictures[row] is not None], np.int64)


class GraphDataset(Dataset):
    """The nodes of an attributed graph, each conditioned by its neighbors."""

    noun = "node"
    chosen = "neighbors"
    embedded = "pictures and texts"
    graph_of = "a neighbor"
    drawn_from = "a picture"
    content = "a graph of nodes"
    makes = NeighborContext
    may_mirror = True

    def __init__(self, graph: AttributedGraph) -> None:
        self._graph = graph
        self.relation_names = graph.relation_names
        self._embedded: tuple[Extractors, NodeEmbeddings] | None = None

    @property
    def of_world(self) -> bool:
        """True if artists and subjects are those of the art world."""
        known = {"artist": ARTISTS, "subject": SUBJECTS}
        return all(set(self.attributes.get(fact, [""])) <= set(names) for fact, names in known.items())

    @property
    def graph(self) -> AttributedGraph:
        """The graph."""
        return self._graph

    @property
    def columns(self) -> NodeTable:
        """The nodes."""
        return self._graph.nodes

    @property
    def root(self) -> Path | None:
        """The graph's folder."""
        return self._graph.root

    @property
    def attributes(self) -> Mapping[str, Sequence[str]]:
        """Further columns of the nodes."""
        return self._graph.nodes.attributes

    def prompts(self, row: int) -> Sequence[str]:
        """All prompts of a node: its text, or those in the column `graphcond.graphs.columns.PROMPTS`."""
        several = self.attributes.get(PROMPTS)
        return (several is not None and prompts_in(several[row])) or (self.texts[row],)

    def embed(self, extractors: Extractors, progress: Progress | None = None) -> NodeEmbeddings:
        """The embeddings of the nodes; pictures and texts are embedded when their rows are requested.

        Equal extractors get the same tables, so that runs in one process read each embedding once.

        Raises:
            InputError: the network or the file of the features cannot be loaded.
        """
        if self._embedded is None or self._embedded[0] is not extractors:
            tables = extractors.of_nodes(self._graph.picture_paths, self.texts, progress)
            self._embedded = extractors, tables
        return self._embedded[1]

    def embed_whole(self, recipe: Recipe, extractors: Extractors, progress: Progress | None = None) -> None:
        """Embed the pictures of all nodes, and their texts where a condition reads them.

        Raises:
            InputError: a picture is missing or cannot be decoded, or the features cannot be loaded.
        """
        read = {"pictures"}.union(*(c.sampler.columns() for c in recipe.conditions))
        if any(c.encoder.target_text_read() for c in recipe.conditions):
            read.add("texts")
        for name, table in vars(self.embed(extractors, progress)).items():
            if name in read and isinstance(table, EmbeddingTable):
                table.fill()

    def view(
        self,
        condition: ConditionConfig,
        embeddings: NodeEmbeddings,
        *,
        forbidden: Rows | None = None,
        seed: int = 0,
        resolution: int | None = None,
    ) -> GraphContexts:
        """The graph as a condition reads it.

        Args:
            condition: names the sampler.
            embeddings: of all nodes.
            forbidden: rows that are never neighbors.
            seed: of the sampler's random choices.
            resolution: side, in pixels, of the pictures for an encoder that reads them.

        Raises:
            InputError: the sampler needs what the graph or the embeddings lack.
        """
        sampler = condition.sampler.build(graph=self._graph, embeddings=embeddings, forbidden=forbidden)
        return GraphContexts(
            self._graph,
            sampler,
            embeddings,
            seed=seed,
            structure=condition.encoder.structure_read(),
            target_text=condition.encoder.target_text_read(),
            pictures=resolution if condition.encoder.component_class().reads_pictures else None,
        )

    def _views(
        self,
        recipe: Recipe,
        extractors: Extractors,
        forbidden: Rows | None,
        whole: bool,
        progress: Progress | None,
    ) -> dict[str, AnySource]:
        if whole:
            self.embed_whole(recipe, extractors, progress)
        embeddings = self.embed(extractors, progress)
        given: dict[str, Any] = {
            "forbidden": forbidden,
            "seed": recipe.training.seed,
            "resolution": recipe.data.resolution,
        }
        return {c.name: self.view(c, embeddings, **given) for c in recipe.conditions}

    def _can_be_drawn(self, row: int) -> bool:
        return self.columns.pictures[row] is not None


class SceneDataset(Dataset):
    """A set of scenes, each conditioned by its own scene graph."""

    noun = "scene"
    chosen = "scenes"
    embedded = "words"
    graph_of = "an object"
    drawn_from = "an object"
    content = "scene graphs"
    makes = SceneContext
    may_mirror = False

    def __init__(self, scenes: SceneSet) -> None:
        self._scenes = scenes

    @property
    def of_world(self) -> bool:
        """True if the objects are the shapes of the scene world."""
        return all(label in SHAPES for graph in self._scenes.graphs for label in graph.objects)

    @property
    def scenes(self) -> SceneSet:
        """The scenes."""
        return self._scenes

    @property
    def columns(self) -> SceneSet:
        """The scenes."""
        return self._scenes

    @property
    def root(self) -> Path | None:
        """The scenes' folder."""
        return self._scenes.root

    def prompts(self, row: int) -> Sequence[str]:
        """All prompts of a scene."""
        return (self.texts[row],) if self._scenes.prompts is None else self._scenes.prompts[row]

    def scene_graphs(self, rows: Rows) -> list[SceneGraph]:
        """The scene graphs of ``rows``."""
        return [self._scenes.graphs[row] for row in rows.tolist()]

    def notes_on_limits(
        self, recipe: Recipe, rows: Rows, sampled: Callable[[str], SceneContext], base: Base
    ) -> list[str]:
        """As `graphcond.data.scene_contexts.notes_on_limits`."""
        graphs = self.scene_graphs(rows)
        return [
            note
            for condition in recipe.conditions
            for note in notes_on_limits(condition, graphs, sampled(condition.name).scenes, base)
        ]

    def without_boxes(self) -> SceneDataset:
        """The same scenes, without boxes and masks."""
        return SceneDataset(self._scenes.without_boxes())

    def embed_whole(self, recipe: Recipe, extractors: Extractors, progress: Progress | None = None) -> None:
        """Do nothing: words are few, and `views` embeds them."""

    def view(self, condition: ConditionConfig, words: WordTable, *, seed: int = 0) -> SceneContexts:
        """The scenes as a condition reads them.

        Args:
            condition: names the sampler.
            words: embeds the words of the scenes.
            seed: of the sampler's random choices.
        """
        return SceneContexts(self._scenes, condition.sampler.build(), words, seed=seed)

    def _views(
        self,
        recipe: Recipe,
        extractors: Extractors,
        forbidden: Rows | None,
        whole: bool,
        progress: Progress | None,
    ) -> dict[str, AnySource]:
        if whole:
            words = embed_words(self._scenes, extractors.words, FeatureCache(), progress)
        else:
            words = WordTable(extractors.words, FeatureCache())
        return {c.name: self.view(c, words, seed=recipe.training.seed) for c in recipe.conditions}

    def _can_be_drawn(self, row: int) -> bool:
        return len(self._scenes.graphs[row]) > 0


def as_dataset(data: AttributedGraph | SceneSet | Dataset) -> Dataset:
    """A graph or a set of scenes as a dataset; a dataset stays as it is."""
    if isinstance(data, Dataset):
        return data
    return GraphDataset(data) if isinstance(data, AttributedGraph) else SceneDataset(data)
