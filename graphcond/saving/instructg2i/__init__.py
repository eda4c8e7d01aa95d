"""InstructG2I's released checkpoints (arXiv 2410.07157), read and written in the release's layout."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.saving.instructg2i.layout import is_release as is_release
    from graphcond.saving.instructg2i.read import NEIGHBORS as NEIGHBORS
    from graphcond.saving.instructg2i.read import Release as Release
    from graphcond.saving.instructg2i.read import read_release as read_release
    from graphcond.saving.instructg2i.write import write_release as write_release
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
