"""``graphcond data features``: vectors that come with a graph, as a file that samplers read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphcond.errors import InputError
from graphcond.io.terminal import say


def features(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A source that `data build` reads.")],
    out: Annotated[
        Path | None, typer.Option(metavar="NPY", help="The file to write; without it they are listed.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of them, if there are several.")
    ] = None,
) -> None:
    """Write the vectors that come with a graph's nodes as a file that --features reads.

    They are OGB's node-feat, columns of vectors in DGL's CSV folders, MM-Graph's *_feat.pt, and tensors in
    files of PyG and DGL. Rows are in the order of the nodes; types of nodes that have none get zeros.

    For example:

        graphcond data features products/ --out features.npy
    """
    from graphcond.graphs.load import find_features, read_features

    if out is None:
        say("\n".join(find_features(source)) or "there are none")
        return
    if out.suffix != ".npy":
        raise InputError(f"'{out.name}' is not a .npy file", place="--out", remedy="end the name in .npy")
    import numpy as np

    from graphcond.io.files import atomic_file

    rows = read_features(source, name)
    with atomic_file(out) as temporary, temporary.open("wb") as file:
        np.save(file, rows)
    say(f"{out}: {rows.shape[0]} rows of {rows.shape[1]}, {rows.dtype}")
