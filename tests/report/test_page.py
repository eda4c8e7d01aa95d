from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from graphcond.report import Run, read_run
from graphcond.report.page import chosen, page
from graphcond.report.pdf import write_pdf
from graphcond.report.runs import labeled
from tests.report.folders import RECIPE, train_line, validation_line, write_run

HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x> \"'& $\\frac{ _x \u202e\x1b[31m 画像"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
)


class Links(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.sources += [
            str(value) for name, value in attributes if name in ("src", "href", "data", "srcset")
        ]
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_data(self, data: str) -> None:
        self.text += data


def full_run(folder: Path, name: str = "paintings", *, hostile: bool = False) -> Path:
    """A run with everything that a page shows."""
    figures = {"neighbors": {"gate": 0.1}}
    percent = {"mean": 25.0, "low": 10.0, "high": 40.0, "n": 8}
    text = HOSTILE if hostile else "the gates are shut"
    records = [
        {"step": 0, "kind": "start", "parameters": {"a": 12}, "frozen_parameters": 900, "device": text},
        {"step": 0, "kind": "stage", "stage": "alignment", "loss": 0.5},
        *(
            train_line(
                step,
                1 / (step + 1),
                injectors=figures,
                own_losses={"neighbors": {"clip": 0.3}},
                gradient_norms={"a": 0.2},
                seconds_per_step=0.5,
                memory={"of": "process", "bytes": 2_000_000_000},
            )
            for step in (10, 20)
        ),
        validation_line(10, 0.8, 0.7),
        validation_line(20, 0.8, 0.6, gap_percent=percent),
        {"step": 20, "kind": "warning", "warnings": [text]},
        {"step": 20, "kind": "failure", "seconds": {"training": 5.0, "data": 1.0}, "error": text},
    ]
    run = write_run(
        folder, records, recipe=RECIPE | {"name": name, "description": text}, previews=(0, 10, 20)
    )
    figure = {"name": "clip_i", "mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    report = {"arms": {"graph": {"clip_i": figure}, "no_graph": {"clip_i": figure}}, "differences": {}}
    (run / "evaluations" / "own-test").mkdir(parents=True)
    Image.new("RGB", (64, 32), "blue").save(run / "evaluations" / "own-test" / "pictures.png")
    (run / "test.json").write_text(json.dumps({text: report}), encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A plain run and one whose every text is hostile, both of one name."""
    folder = tmp_path_factory.mktemp("two")
    runs = [full_run(folder / "plain", HOSTILE), full_run(folder / "bad $x$ & co", HOSTILE, hostile=True)]
    return labeled([read_run(run) for run in runs])


@pytest.fixture(scope="module")
def html(two: list[Run]) -> str:
    return page(two)


def parsed(html: str) -> Links:
    links = Links()
    links.feed(html)
    return links


def test_a_page_loads_nothing_and_runs_nothing(html: str) -> None:
    links = parsed(html)
    assert all(
        source.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        for source in links.sources
    )
    assert "script" not in links.tags
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_every_picture_decodes(html: str) -> None:
    kinds = []
    for source in parsed(html).sources:
        kind, _, content = source.partition(";base64,")
        kinds.append(kind)
        if kind == "data:image/png":
            Image.open(io.BytesIO(base64.b64decode(content))).load()
        else:
            assert ET.fromstring(base64.b64decode(content)).tag.endswith("svg")
    assert kinds.count("data:image/png") == 8, "three previews and an evaluation of each run"
    assert kinds.count("data:image/svg+xml") == 4 + 2 * 3, "four shared plots, three of each run's own"


def test_hostile_texts_are_shown_as_they_are_written(html: str) -> None:
    links = parsed(html)
    assert "<script>alert(1)</script><img src=http://evil.example/x>" in links.text
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_the_page_says_what_matters(html: str) -> None:
    text = " ".join(parsed(html).text.split())
    for wanted in (
        "25.0 [10.0, 40.0]",
        "(n = 8)",
        "2.0 GB",
        "seconds per step",
        "seconds in all",
        "trained parameters: a 12",
        "frozen parameters 900",
        "the gates are shut",
        "failed",
        "alignment loss 0.500",
        "0.500 [0.400, 0.600]",
        "(plain)",
        "(bad $x$ & co)",
        "step 10",
    ):
        assert wanted in text, wanted
    assert 'alt="Own loss of neighbors over optimizer steps"' in html


def test_equal_runs_give_equal_pages(two: list[Run], html: str) -> None:
    assert page(two) == html


@pytest.mark.parametrize("records", [[], [train_line(20)], ["{damaged"]])
def test_a_run_may_lack_validation_previews_and_everything(records: list[object], tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "r", records))  # type: ignore[arg-type]
    links = parsed(page([run]))
    assert len(links.sources) == (2 if records == [train_line(20)] else 0)
    assert "No run has recorded a figure yet." in links.text or links.sources
    write_pdf(tmp_path / "r.pdf", [run])


def test_a_damaged_preview_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [], previews=(0, 10))
    (folder / "previews" / "step-00000010.png").write_bytes(b"no picture")
    run = read_run(folder)
    assert [source[:14] for source in parsed(page([run])).sources] == ["data:image/png"]
    write_pdf(tmp_path / "r.pdf", [run])


def test_many_previews_are_thinned_from_the_first_to_the_last() -> None:
    assert chosen([0, 5]) == [0, 5]
    assert chosen(list(range(0, 101, 10))) == [0, 20, 40, 60, 80, 100]


def test_a_pdf_has_a_page_for_each_table_and_plot(two: list[Run], tmp_path: Path) -> None:
    write_pdf(tmp_path / "a.pdf", two)
    write_pdf(tmp_path / "b.pdf", two)
    content = (tmp_path / "a.pdf").read_bytes()
    assert content == (tmp_path / "b.pdf").read_bytes()
    # Runs, differences and two evaluations; four shared plots; three plots and a preview of each run.
    assert content.count(b"/Type /Page ") == 4 + 4 + 2 * 4


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("spoiled", [False, True])
def test_a_browser_shows_every_picture_without_error_or_request(
    html: str, spoiled: bool, tmp_path: Path
) -> None:
    """``spoiled`` adds what the page must not have, so that the test is seen to notice it."""
    extra = '<img src="http://127.0.0.1:9/x.png"><script>throw Error("x")</script>' if spoiled else ""
    (tmp_path / "page.html").write_text(html + extra, encoding="utf-8")
    (tmp_path / "look.html").write_text(
        """<body><iframe src="page.html"></iframe><script>
        document.querySelector("iframe").onload = function () {
          const pictures = [...this.contentDocument.images];
          const shown = pictures.filter((one) => one.complete && one.naturalWidth > 0);
          document.body.innerText = `${shown.length} of ${pictures.length}`;
        };</script></body>""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
            *("--disable-background-networking", "--enable-logging=stderr", "--virtual-time-budget=10000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={tmp_path / 'net.json'}"),
            *("--dump-dom", (tmp_path / "look.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    count = len(parsed(html).sources)
    assert (f"{count} of {count}" in done.stdout) == (not spoiled)
    assert ("CONSOLE" in done.stderr) == spoiled
    assert '"url":"http' not in (tmp_path / "net.json").read_text(encoding="utf-8")
