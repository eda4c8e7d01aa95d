"""Saying what is loaded before the seconds in which nothing else can be said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SLOW = "torch"
"""What every slow command imports first; with what stands on it, it takes seconds."""


class SayLoading(MetaPathFinder):
    """Says once that libraries are loaded, when the first slow one is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing: the others do."""
        if name == SLOW:
            sys.meta_path.remove(self)
            print("loading torch and diffusers ...", file=sys.stderr, flush=True)
        return None
