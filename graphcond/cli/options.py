"""Options that several commands share."""

from __future__ import annotations

from typer.core import TyperOption

from graphcond.errors import InputError, did_you_mean

MAX_SEED = 2**63 - 1
"""The range of seeds of torch's generators."""


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
