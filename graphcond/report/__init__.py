"""Reports: the runs in a folder, tables of figures, and one page that compares runs.

Nothing here loads torch.
"""

from graphcond.report.runs import Run, find_runs, read_run
from graphcond.report.table import Cell, Table

__all__ = ["Cell", "Run", "Table", "find_runs", "read_run"]
