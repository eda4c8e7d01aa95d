"""The README that goes with a saved model."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from graphcond.bases.config import BaseFields
from graphcond.condition import Condition
from graphcond.errors import InputError
from graphcond.io.files import read_json
from graphcond.io.terminal import markdown_table
from graphcond.recipe import Recipe
from graphcond.saving.bundled import BASE
from graphcond.saving.composed import ClassConfig, Composition, parts_of
from graphcond.signals import LayoutMap

FILE = "card.json"
"""The facts, beside the manifest: some say how long something took, and manifests of equal runs are equal."""

PREVIEW = "preview.png"
"""The picture beside the README."""

HUB_ID = re.compile(r"\b[\w.-]+\b/\b[\w.-]+\b")


@dataclass(frozen=True)
class CardFacts:
    """What a model card says beside what the model is made of; it is saved with the model.

    Args:
        training: figures of the training by their names.
        evaluation: tables in Markdown, such as `EvaluationReport.to_markdown` gives.
        license: the licence of the trained weights, by its id on the hub, such as ``apache-2.0``.
        preview: a picture that the model drew, which is copied.
    """

    training: Mapping[str, str] = field(default_factory=dict)
    evaluation: str = ""
    license: str | None = None
    preview: Path | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    def values(self) -> dict[str, Any]:
        """The facts for `FILE`, without the preview."""
        return {"training": dict(self.training), "evaluation": self.evaluation, "license": self.license}

    @classmethod
    def read(cls, folder: Path) -> CardFacts:
        """The facts in the folder of a model; none where it was saved without.

        Raises:
            InputError: they are damaged.
        """
        file, preview = folder / FILE, folder / PREVIEW
        values = read_json(file) if file.exists() else {}
        try:
            facts = TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise InputError(
                f"the facts for the model card are damaged: {problem}", place=file, remedy="delete the file"
            ) from error
        return replace(facts, preview=preview if preview.is_file() else None)


def model_card(
    model: Recipe | Composition,
    *,
    own_parts: Collection[str] = (),
    denoiser: str | None = None,
    base_weights: Mapping[str, str] | None = None,
    parameters: Mapping[str, int] | None = None,
    conditions: Sequence[Condition] = (),
    facts: CardFacts | None = None,
) -> str:
    """A model card: what the model is, what it was trained over, how to use it, and how good it is.

    Args:
        model: the resolved recipe, or the composition.
        own_parts: names of the folders that travel with the model; see `graphcond.saving.bundled`.
        denoiser: folder of the denoiser, where it was trained.
        base_weights: fingerprints of the base; see `graphcond.saving.base_weights`.
        parameters: the number of trained parameters in each group.
        conditions: those of the model, for which the example has graphs.
        facts: further ones.
    """
    facts = CardFacts() if facts is None else facts
    network = "that was made in Python" if model.base is None else f"`{model.base.network}`"
    base = (
        "a base of its own, which is in `base/`"
        if BASE in own_parts
        else f"the frozen base {network}, whose weights are not in here"
    )
    if denoiser is not None:
        base = f"the base {network}, whose denoiser was trained with it and is in `{denoiser}/`"
    fingerprints = ", ".join(f"{part} `{name}`" for part, name in (base_weights or {}).items())
    rows = [
        (
            one.name,
            *(
                "given" if part is None else getattr(part, "path", part.kind)  # a class has no kind
                for part in (one.sampler, one.encoder, one.injector)
            ),
            one.without_graph,
        )
        for one in model.conditions
    ]
    figures = {f"trained parameters: {name}": f"{count:,}" for name, count in (parameters or {}).items()}
    figures |= facts.training
    sections = [
        f"# {model.name}",
        model.description or "A graph-conditioned diffusion model.",
        f"It steers {base}{f' (fingerprints: {fingerprints})' if fingerprints else ''}.",
        markdown_table(("condition", "sampler", "encoder", "injector", "without graph"), rows),
        markdown_table(("training", ""), figures.items()) if figures else "",
        f"## Evaluation\n\n{facts.evaluation.strip()}" if facts.evaluation else "",
        f"![pictures that the model drew]({PREVIEW})" if facts.preview else "",
        _use(model, conditions),
        "`graphcond.json` says how the model was made. "
        + ("" if facts.license else "Its makers named no licence. ")
        + "Check the licences of the base and of the pictures in the graph before you share its pictures.",
    ]
    return f"---\n{_metadata(model.base, own_parts, facts)}---\n" + "\n\n".join(filter(None, sections)) + "\n"


def _use(model: Recipe | Composition, conditions: Sequence[Condition]) -> str:
    """An example that opens the model and draws with it, and a word on classes that it imports."""
    parts = parts_of(model)
    needed = {
        name: f"a {part.path}"
        for name, part in parts.items()
        if isinstance(part, ClassConfig) and part.arguments is None
    }
    if isinstance(model, Composition) and model.features is None:
        needed["extractor"] = "that of the training"
    paths = {name: part.imports() for name, part in parts.items() if name not in needed}
    imported = ", ".join(f"`{path}`" for path in paths.values() if path is not None)
    variables = {name: name.replace(".", "_") for name in needed}
    opening = ['"path/or/hub-id"']
    if needed:
        given = ", ".join(f'"{name}": {variable}' for name, variable in variables.items())
        opening.append(f"parts={{{given}}}")
    if model.base is None:
        needed |= {"base": "that of the training"}
        opening.append("base=base")
    if imported:
        opening.append("trust_remote_code=True")
    names, graphs = _graphs(conditions)
    shown = ['"a prompt"', *graphs]
    lines = [
        f"from graphcond import {', '.join(['GraphPipeline', *names])}",
        "",
        *(f"# {variables.get(name, name)}: {what}, which you make first" for name, what in needed.items()),
        f"pipe = GraphPipeline.from_pretrained({', '.join(opening)})",
        f'pipe({", ".join(shown)}).images[0].save("picture.png")',
    ]
    consent = f"The consent is for {imported}: install the package, and trust its maker first."
    return "```python\n" + "\n".join(lines) + "\n```" + (f"\n\n{consent}" if imported else "")


def _graphs(conditions: Sequence[Condition]) -> tuple[list[str], list[str]]:
    """Names to import, and arguments with a graph for each condition."""
    one, boxes = '["neighbor.png"]', ", boxes=[[0.3, 0, 0.7, 0.4], [0.2, 0.6, 0.8, 1]]"
    readers = [each.name for each in conditions if each.encoder.reads.argument == "neighbors"]
    imports, graphs = [], []
    if readers:
        several = ", ".join(f'"{name}": {one}' for name in readers)
        graphs.append(f"neighbors={one}" if len(readers) == 1 else f"neighbors={{{several}}}")
    if any(each.encoder.reads.argument == "scene" for each in conditions):
        placed = boxes if any(each.encoder.gives is LayoutMap for each in conditions) else ""
        imports.append("SceneGraph")
        graphs.append(f'scene=SceneGraph(["star", "boat"], [[0, "above", 1]]{placed})')
    return imports, graphs


def _metadata(base: BaseFields | None, own_parts: Collection[str], facts: CardFacts) -> str:
    """The fields by which the hub finds a model."""
    fields: dict[str, Any] = {
        "library_name": "graphcond",
        "pipeline_tag": "text-to-image",
        "tags": ["graphcond", "text-to-image", "diffusion", "graph"],
    }
    if facts.license:
        fields["license"] = facts.license
    network = "" if base is None or BASE in own_parts else base.network
    if HUB_ID.fullmatch(network) and not Path(network).exists():
        fields |= {"base_model": network, "base_model_relation": "adapter"}
    return yaml.safe_dump(fields, sort_keys=False, default_flow_style=None)
