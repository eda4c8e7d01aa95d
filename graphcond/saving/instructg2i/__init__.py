"""InstructG2I's released checkpoints (arXiv 2410.07157), read and written in the release's layout."""

from graphcond.saving.instructg2i.layout import is_release
from graphcond.saving.instructg2i.read import NEIGHBORS, Release, read_release
from graphcond.saving.instructg2i.write import write_release

__all__ = ["NEIGHBORS", "Release", "is_release", "read_release", "write_release"]
