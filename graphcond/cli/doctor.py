"""graphcond doctor: what is installed, what runs, what to install."""

from __future__ import annotations

import json

from graphcond.cli.options import AsJson
from graphcond.io.terminal import console, say


def doctor(as_json: AsJson = False) -> None:
    """Versions, device, the attention kernel in use, DGL's and xformers' state, and what to install.

    Example: graphcond doctor
    """
    from rich.markup import escape
    from rich.table import Table

    from graphcond.cli.checkup import check_up

    findings = check_up()
    if as_json:
        say(json.dumps([finding.__dict__ for finding in findings], indent=2))
        return
    table = Table("what", "state", "what to do")
    for finding in findings:
        mark = "[green]✓[/]" if finding.fine else "[yellow]![/]"
        table.add_row(finding.name, f"{mark} {escape(finding.state)}", escape(finding.advice))
    console().print(table)
