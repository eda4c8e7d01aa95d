"""What every sampler promises. A new one adds a row to CASES, or to SCENE_CASES if it reads scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from graphcond.attributed_graph import ABSENT, AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext, SceneContext
from graphcond.errors import InputError
from graphcond.samplers import (
    SAMPLERS,
    NeighborSampler,
    PPRSamplerConfig,
    PrecomputedSampler,
    SamplerConfig,
    SceneSampler,
    SceneSamplerConfig,
    sample_all,
)
from graphcond.samplers.neighbor_file import graph_identity, write_neighbors
from graphcond.scene_graph import SceneGraph
from tests.samplers.toy_graphs import arrays_of, toy_embeddings, toy_graph, toy_graphs
from tests.scene_builders import scene_graphs


@dataclass(frozen=True)
class Case:
    """A sampler's choices and which of the optional promises it makes."""

    kind: str
    choices: tuple[tuple[str, Any], ...] = ()
    reads_edges: bool = True
    reads_own_picture: bool = False

    def config(self, neighbors: int, **choices: Any) -> Any:
        fields = {"kind": self.kind, "neighbors": neighbors, **dict(self.choices), **choices}
        return TypeAdapter(SamplerConfig).validate_python(fields)

    def sample(
        self,
        graph: AttributedGraph,
        targets: Any = None,
        *,
        neighbors: int = 3,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Any = None,
        seed: int = 0,
        **choices: Any,
    ) -> NeighborContext:
        sampler = self.config(neighbors, **choices).build(
            graph=graph,
            embeddings=embeddings or toy_embeddings(graph),
            forbidden=None if forbidden is None else np.array(forbidden, np.int64),
        )
        rows = np.arange(len(graph)) if targets is None else np.array(targets, np.int64)
        return sampler.sample(rows, np.random.default_rng(seed))


class Stored:
    """What exact PPR chooses, read back from a neighbor file that is written for each graph."""

    reads_embeddings = False

    def __init__(self, **choices: Any) -> None:
        self.choices = choices

    def build(self, *, graph: AttributedGraph, forbidden: Any = None, **_: Any) -> NeighborSampler:
        source = PPRSamplerConfig(neighbors=self.choices["neighbors"], require_picture=False, method="exact")
        rows = np.arange(len(graph))
        context = source.build(graph=graph).sample(rows, np.random.default_rng(0))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "neighbors.safetensors"
            write_neighbors(path, context, {**graph_identity(graph), "sampler": source.model_dump()})
            return PrecomputedSampler(graph, path, forbidden=forbidden, **self.choices)


@dataclass(frozen=True)
class StoredCase(Case):
    """A sampler whose file belongs to one graph."""

    def config(self, neighbors: int, **choices: Any) -> Any:
        return Stored(neighbors=neighbors, **choices)


class Typed:
    """A sampler that is told about types, on graphs that get them here: every third edge is noise."""

    def __init__(self, config: Any) -> None:
        self.config, self.reads_embeddings = config, config.reads_embeddings

    def build(self, *, graph: AttributedGraph, **given: Any) -> NeighborSampler:
        rows = np.repeat(np.arange(len(graph)), np.diff(graph.indptr))
        graph = replace(
            graph,
            nodes=replace(graph.nodes, types=["odd" if row % 2 else "even" for row in range(len(graph))]),
            edge_types=((rows + graph.indices) % 3 == 0).astype(np.uint8),
            edge_type_names=("link", "noise"),
        )
        return self.config.build(graph=graph, **given)


@dataclass(frozen=True)
class TypedCase(Case):
    """A sampler whose choices name types."""

    def config(self, neighbors: int, **choices: Any) -> Any:
        return Typed(super().config(neighbors, **choices))


WEIGHED = ("edge_type_weights", {"noise": 0.25})
QUOTAS = ("quotas", {"node_types": {"even": 2}, "relations": {"noise": 1}})

CASES = [
    Case("semantic_ppr"),
    TypedCase("semantic_ppr", (WEIGHED, QUOTAS)),
    TypedCase("ppr", (WEIGHED,)),
    TypedCase("ppr", (QUOTAS, ("method", "exact"))),
    Case("semantic_ppr", (("similarity", {"kind": "consensus"}), ("candidates", 4))),
    Case("semantic_ppr", (("similarity", {"kind": "blend", "similarity": {"kind": "text_text"}}),)),
    Case("semantic_ppr", (("diversity", 0.5),)),
    Case(
        "semantic_ppr", (("similarity", {"kind": "embedding"}), ("method", "exact")), reads_own_picture=True
    ),
    Case("ppr"),
    Case("ppr", (("method", "exact"),)),
    Case("ppr", (("degree_normalized", True), ("epsilon", 1e-3))),
    Case("affiliation_ppr", (("attributes", {"links": 1.0}),)),
    Case("affiliation_ppr", (("attributes", {"links": 0.5}), ("edges", 2.0), ("degree_normalized", True))),
    Case("semantic", reads_edges=False),
    Case("semantic", (("similarity", {"kind": "embedding"}),), reads_edges=False, reads_own_picture=True),
    Case("khop", (("hops", 2),)),
    Case("hop_mean"),
    Case("hop_mean", (("hops", 3),)),
    Case("random", reads_edges=False),
    Case("given"),
    StoredCase("precomputed"),
]

every_sampler = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join([case.kind, *(str(value) for _, value in case.choices)])
)
some_rows = st.sets(st.integers(0, 11))


SCENE_CASES: list[dict[str, Any]] = [
    {"kind": "scene_triples"},
    {"kind": "scene_triples", "objects": 3, "triples": 4},
    {"kind": "scene_triples", "objects": 1, "attributes": False},
]
every_scene_sampler = pytest.mark.parametrize(
    "case", SCENE_CASES, ids=lambda case: "-".join(map(str, case.values()))
)
scenes_and_none = st.lists(scene_graphs(), max_size=5)


def test_every_sampler_has_a_row() -> None:
    assert {case.kind for case in CASES} | {case["kind"] for case in SCENE_CASES} == set(SAMPLERS)


@pytest.mark.parametrize("config", SAMPLERS.values(), ids=SAMPLERS)
def test_says_which_context_it_makes(config: Any) -> None:
    scene = issubclass(config, SceneSamplerConfig)
    assert config.makes is (SceneContext if scene else NeighborContext)
    assert issubclass(config.component_class(), SceneSampler if scene else NeighborSampler)


@every_sampler
@settings(max_examples=40, deadline=None)
@given(graph=toy_graphs(), forbidden=some_rows, neighbors=st.sampled_from([1, 3, 40]), pictured=st.booleans())
def test_chooses_only_what_it_may(
    case: Case, graph: AttributedGraph, forbidden: set[int], neighbors: int, pictured: bool
) -> None:
    forbidden = {row for row in forbidden if row < len(graph)}
    context = case.sample(graph, neighbors=neighbors, forbidden=sorted(forbidden), require_picture=pictured)
    assert context.neighbors.shape == context.scores.shape == (len(graph), neighbors)
    assert context.neighbors.dtype == np.int64
    assert context.scores.dtype == np.float32
    for target, row in zip(context.targets.tolist(), context.neighbors, strict=True):
        chosen = row[row != ABSENT].tolist()
        assert target not in chosen
        assert not forbidden & set(chosen)
        assert len(set(chosen)) == len(chosen)
        assert not pictured or all(graph.nodes.pictures[node] is not None for node in chosen)


@every_sampler
@settings(max_examples=40, deadline=None)
@given(graph=toy_graphs(), neighbors=st.sampled_from([1, 3, 40]))
def test_best_first_and_padded_at_the_end(case: Case, graph: AttributedGraph, neighbors: int) -> None:
    context = case.sample(graph, neighbors=neighbors)
    for row, scores, present in zip(context.neighbors, context.scores, context.present, strict=True):
        count = int(present.sum())
        assert present[:count].all()
        assert (row[count:] == ABSENT).all()
        assert (scores[count:] == 0).all()
        ranked = sorted(zip((-scores[:count]).tolist(), row[:count].tolist(), strict=True))
        assert [node for _, node in ranked] == row[:count].tolist()


@every_sampler
@settings(max_examples=30, deadline=None)
@given(graph=toy_graphs(), order=st.randoms(use_true_random=False), batch=st.integers(1, 5))
def test_an_answer_depends_on_target_and_seed_alone(
    case: Case, graph: AttributedGraph, order: Any, batch: int
) -> None:
    together = case.sample(graph, seed=3)
    targets = [*range(len(graph)), 0]
    order.shuffle(targets)
    for start in range(0, len(targets), batch):
        part = case.sample(graph, targets[start : start + batch], seed=3)
        np.testing.assert_array_equal(part.targets, targets[start : start + batch])
        np.testing.assert_array_equal(part.neighbors, together.neighbors[part.targets])
        np.testing.assert_array_equal(part.scores, together.scores[part.targets])


@every_sampler
def test_sampling_all_in_batches_gives_what_one_batch_gives(case: Case) -> None:
    graph = toy_graph(9, [(0, node) for node in range(1, 9)], given=np.full((9, 1), ABSENT))
    sampler = case.config(3).build(graph=graph, embeddings=toy_embeddings(graph))
    small, large = (
        sample_all(sampler, np.arange(9), np.random.default_rng(0), batch=batch) for batch in (2, 100)
    )
    np.testing.assert_array_equal(small.neighbors, large.neighbors)
    np.testing.assert_array_equal(small.scores, large.scores)


@every_sampler
@settings(max_examples=20, deadline=None)
@given(graph=toy_graphs())
def test_leaves_the_graph_as_it_is(case: Case, graph: AttributedGraph) -> None:
    before = {name: array.copy() for name, array in arrays_of(graph).items()}
    case.sample(graph)
    for name, array in arrays_of(graph).items():
        np.testing.assert_array_equal(array, before[name])


@every_sampler
def test_reads_not_the_picture_that_is_to_be_made(case: Case) -> None:
    if case.reads_own_picture:
        pytest.skip("its user decides what the embedding knows")
    edges = [(left, right) for left in range(8) for right in range(left)]
    graph = toy_graph(8, edges, given=np.array([[1, 2]] * 8))
    embeddings = toy_embeddings(graph)
    assert embeddings.pictures is not None
    other = embeddings.pictures.copy()
    other[0] = -3 * other[0] + 1
    known, unknown = (
        case.sample(graph, [0], embeddings=replace(embeddings, pictures=pictures))
        for pictures in (embeddings.pictures, other)
    )
    np.testing.assert_array_equal(known.neighbors, unknown.neighbors)
    np.testing.assert_array_equal(known.scores, unknown.scores)


@every_sampler
@settings(max_examples=20, deadline=None)
@given(graph=toy_graphs())
def test_finds_nobody_where_all_are_forbidden(case: Case, graph: AttributedGraph) -> None:
    assert not case.sample(graph, forbidden=range(len(graph))).present.any()


@every_sampler
def test_an_isolated_target_has_no_neighbors(case: Case) -> None:
    if not case.reads_edges:
        pytest.skip("looks at no edges")
    graph = toy_graph(4, [(1, 2), (2, 3)], given=np.array([[ABSENT], [2], [1], [2]]))
    context = case.sample(graph)
    assert not context.present[0].any()
    assert context.present[1:].any(axis=1).all()


@every_sampler
def test_answers_no_targets(case: Case) -> None:
    graph = toy_graph(3, [(0, 1)], given=np.array([[1], [0], [0]]))
    assert case.sample(graph, []).neighbors.shape == (0, 3)


@every_sampler
@pytest.mark.parametrize("target", [-1, 3, 10**12])
def test_names_a_target_that_does_not_exist(case: Case, target: int) -> None:
    graph = toy_graph(3, [(0, 1)], given=np.array([[1], [0], [0]]))
    with pytest.raises(InputError, match=f"target {target} is not a row.*from 0 to 2"):
        case.sample(graph, [0, target])


@every_sampler
def test_names_a_forbidden_node_that_does_not_exist(case: Case) -> None:
    graph = toy_graph(3, [(0, 1)], given=np.array([[1], [0], [0]]))
    with pytest.raises(InputError, match="forbidden node 7"):
        case.sample(graph, forbidden=[1, 7])


@every_sampler
def test_says_truly_whether_it_reads_embeddings(case: Case) -> None:
    graph, config = toy_graph(3, [(0, 1)], given=np.array([[1], [0], [0]])), case.config(3)
    if config.reads_embeddings:
        with pytest.raises(InputError, match=r"the nodes have no .* embeddings"):
            config.build(graph=graph)
    else:
        config.build(graph=graph)


def sample_scenes(case: dict[str, Any], scenes: list[SceneGraph], seed: int | None = 0) -> SceneContext:
    generator = None if seed is None else np.random.default_rng(seed)
    return TypeAdapter(SamplerConfig).validate_python(case).build().sample(scenes, generator)


@every_scene_sampler
@settings(max_examples=25, deadline=None)
@given(scenes=scenes_and_none, seed=st.sampled_from([None, 0, 7]))
def test_a_sampled_scene_is_whole(case: dict[str, Any], scenes: list[SceneGraph], seed: int | None) -> None:
    context = sample_scenes(case, scenes, seed)
    assert context.has_graph.tolist() == [len(scene) > 0 for scene in scenes]
    for sampled, scene in zip(context.scenes, scenes, strict=True):
        assert sampled.objects <= len(sampled.words)
        assert len(sampled.boxes) == sampled.objects
        assert set(sampled.words[: sampled.objects]) <= set(scene.objects)
        assert all(0 <= triple.subject < sampled.objects for triple in sampled.triples)
        described = [triple.object for triple in sampled.triples if triple.object >= sampled.objects]
        assert sorted(described) == list(range(sampled.objects, len(sampled.words)))


@every_scene_sampler
@settings(max_examples=15, deadline=None)
@given(scenes=scenes_and_none, seed=st.sampled_from([None, 3]))
def test_a_scene_is_sampled_alike_in_every_batch(
    case: dict[str, Any], scenes: list[SceneGraph], seed: int | None
) -> None:
    together = sample_scenes(case, scenes, seed).scenes
    assert sample_scenes(case, scenes[::-1], seed).scenes == together[::-1]
    assert tuple(sample_scenes(case, [scene], seed).scenes[0] for scene in scenes) == together
