"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperOption

from graphcond.errors import InputError, did_you_mean

MAX_SEED = 2**63 - 1
"""The range of seeds of torch's generators."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Base = Annotated[
    str | None,
    typer.Option(
        help="Put the recipe on a base of the package, with data to match: tiny, tiny-dit or emoji."
    ),
]
BaseFolder = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where the model's base is now, if it has moved.")
]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is unless given.")]
Model = Annotated[str, typer.Argument(help="Folder of a trained model, or a hub id.")]
On = Annotated[
    str,
    typer.Option(
        metavar="local|ray", help="Where many targets are worked on: this machine, or a Ray cluster."
    ),
]
LOCAL = "local"
RayWorkers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Workers on Ray; one for each GPU, or CPU, unless given."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change a setting of the recipe. Repeat for more."),
]
SkipBadRows = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows", help="Leave out broken rows, such as edges to unknown nodes, and count them."
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Import classes of other packages that the model's file names."),
]


def hide_types_of_flags() -> None:
    """Let the help show ``--quick``, where typer shows ``--quick <bool>`` as if it took a value."""
    shown = TyperOption.display_type_rich
    TyperOption.display_type_rich = lambda self, ctx: (  # type: ignore[method-assign]
        None if self.is_flag else shown(self, ctx)
    )


def base_name(base: str | None) -> str | None:
    """The base that ``--base`` names.

    Raises:
        InputError: the base is unknown.
    """
    from graphcond.bases.config import packaged_bases

    if base is None or base in packaged_bases():
        return base
    remedy = did_you_mean(base, packaged_bases())
    raise InputError(f"there is no base '{base}'", place="--base", remedy=remedy)
