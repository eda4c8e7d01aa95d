"""LaTeX that `Table.to_latex` wrote, read as TeX would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PDFLATEX = shutil.which("pdflatex")


def check_latex(text: str, folder: Path) -> None:
    """Assert that it is whole, and that it compiles where a TeX is at hand."""
    open_environments: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    assert open_environments == []
    plain = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert plain.count("{") == plain.count("}")
    body = [line for line in plain.splitlines() if not line.startswith("%")]
    assert not re.search(r"[%#_~^\"<>|]", "\n".join(body)), "a sign that TeX reads as a command"
    for table in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line for line in table[1].splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(table[0]) - 1}
    if PDFLATEX is not None:
        document = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,textcomp}\n"
        document += f"\\begin{{document}}\n{text}\\end{{document}}\n"
        (folder / "t.tex").write_text(document, encoding="utf-8")
        done = subprocess.run(
            [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]
