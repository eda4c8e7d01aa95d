"""The README that goes with a saved model."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from graphcond.recipe import Recipe
from graphcond.saving.bundled import BASE


def model_card(
    recipe: Recipe,
    *,
    own_parts: Collection[str] = (),
    denoiser: str | None = None,
    base_weights: Mapping[str, str] | None = None,
    training: Mapping[str, str] | None = None,
) -> str:
    """A model card: what the model is, how to use it, what its graph is and what its null is.

    Args:
        recipe: the resolved recipe.
        own_parts: names of the folders that travel with the model; see `graphcond.saving.bundled`.
        denoiser: folder of the denoiser, where it was trained.
        base_weights: fingerprints of the base; see `graphcond.saving.base_weights`.
        training: figures of the training by their names.
    """
    base = (
        "a base of its own, which is in `base/`"
        if BASE in own_parts
        else (f"the frozen base `{recipe.base.network}`, whose weights are not in here")
    )
    if denoiser is not None:
        base = f"the base `{recipe.base.network}`, whose denoiser was trained with it and is in `{denoiser}/`"
    fingerprints = ", ".join(f"{part} `{name}`" for part, name in (base_weights or {}).items())
    if fingerprints:
        base += f" (fingerprints: {fingerprints})"
    conditions = "\n".join(
        f"| {c.name} | {c.sampler.kind} | {c.encoder.kind} | {c.injector.kind} | {c.without_graph} |"
        for c in recipe.conditions
    )
    lines = "".join(f"| {name} | {figure} |\n" for name, figure in (training or {}).items())
    figures = f"\n| training | |\n|---|---|\n{lines}" if lines else ""
    return f"""---
library_name: graphcond
tags: [graphcond, text-to-image, diffusion, graph]
---
# {recipe.name}

{recipe.description or "A graph-conditioned diffusion model."}

It steers {base}.

| condition | sampler | encoder | injector | without graph |
|---|---|---|---|---|
{conditions}
{figures}
```python
from graphcond import GraphPipeline

pipe = GraphPipeline.from_pretrained("path/or/hub-id")
pipe("a prompt", neighbors=[picture, another]).images[0].save("picture.png")
```

`graphcond.json` holds the resolved recipe: data, training, guidance and seeds. Check the licences of the
base and of the pictures in the graph before you share its pictures.
"""
