"""The command line as a whole: exit codes, one-line errors, help, start-up."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from graphcond.bases.attention import why_not_xformers
from graphcond.cli import app, main
from graphcond.errors import InputError, Notice
from graphcond.recipe import find_recipe

COMMANDS = [
    ["demo"],
    ["data", "build"],
    ["data", "inspect"],
    ["sample"],
    ["sample-all"],
    ["train"],
    ["generate"],
    ["evaluate"],
    ["recipe", "list"],
    ["recipe", "show"],
    ["recipe", "check"],
    ["recipe", "schema"],
    ["bench", "samplers"],
    ["doctor"],
]


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["graphcond", *args])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys, command: list[str]) -> None:
    assert run(monkeypatch, *command, "--help") == 0
    assert f"graphcond {' '.join(command)}" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_bad_input_is_one_line_and_two(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "recipe", "check", "instructg2i", "--set", "training.stesp=3") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert "'steps'" in error
    assert "Traceback" not in error


def test_unknown_options_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "doctor", "--nonsense") == 2
    assert run(monkeypatch, "nonsense") == 2


def test_our_own_faults_are_one(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("graphcond.cli.checkup.check_up", broken)
    assert run(monkeypatch, "doctor") == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in error
    assert "GRAPHCOND_DEBUG" in error


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (
            MemoryError("Unable to allocate 7 TiB"),
            "error: not enough memory (Unable to allocate 7 TiB).",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "error: not enough memory (Def",
        ),
        (PermissionError(13, "Permission denied", "secret.png"), "error: secret.png: Permission denied\n"),
        (InputError("two\nlines and \x1b[31mred", place="a"), "error: a: two lines and \\u001b[31mred\n"),
    ],
)
def test_what_the_machine_refuses_is_one_line_and_two(
    monkeypatch: pytest.MonkeyPatch, capsys, trouble: Exception, message: str
) -> None:
    def broken() -> None:
        raise trouble

    monkeypatch.setattr("graphcond.cli.checkup.check_up", broken)
    assert run(monkeypatch, "doctor") == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_doctor_as_json(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "doctor", "--json") == 0
    names = {finding["name"] for finding in json.loads(capsys.readouterr().out)}
    assert {"torch", "diffusers", "device", "attention", "xformers", "dgl"} <= names
    assert {"base tiny", "base tiny-dit", "torchao", "bitsandbytes"} <= names


def test_doctor_says_what_set_the_threads_and_ticks_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphcond.cli import checkup

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = {finding.name: finding for finding in checkup.check_up()}
    assert found["device"].state == f"cpu, threads: {torch.get_num_threads()} (OMP_NUM_THREADS=1)"
    assert found["xformers"].fine == (why_not_xformers(torch.device("cpu")) is None)


def test_doctor_weighs_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from graphcond.cli import checkup

    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    (tmp_path / "training").mkdir()
    with (tmp_path / "training" / "latents.npy").open("wb") as file:
        file.truncate(2_500_000_000)
    found = {finding.name: finding.state for finding in checkup.check_up()}
    assert found["cache"] == f"{tmp_path}, 2.5 GB"


@pytest.mark.parametrize(
    "fails_with", [FileNotFoundError("libgraphbolt.so"), ImportError("no"), RuntimeError("x")]
)
def test_doctor_survives_a_broken_dgl(monkeypatch: pytest.MonkeyPatch, fails_with: Exception) -> None:
    from graphcond.cli import checkup

    def broken(name: str) -> None:
        raise fails_with

    monkeypatch.setattr(checkup, "version", lambda name: "2.1.0")
    monkeypatch.setattr("graphcond.io.optional.import_module", broken)
    found = {finding.name: finding for finding in checkup.check_up()}
    assert not found["dgl"].fine
    assert "cannot be imported" in found["dgl"].state


def test_recipe_commands(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    assert run(monkeypatch, "recipe", "list", "--json") == 0
    assert {"name", "description"} == set(json.loads(capsys.readouterr().out)[0])
    assert run(monkeypatch, "recipe", "show", "instructg2i") == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert run(monkeypatch, "recipe", "check", str(tmp_path / "mine.yaml")) == 0
    assert "is fine" in capsys.readouterr().out
    assert run(monkeypatch, "recipe", "show", "instructg2i", "--base", "tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out)["base"]["kind"] == "tiny"
    assert run(monkeypatch, "recipe", "schema", "--out", str(tmp_path / "schema.json")) == 0
    assert "properties" in json.loads((tmp_path / "schema.json").read_text())
    assert run(monkeypatch, "recipe", "check", "instructg2i", "--base", "tine") == 2


@pytest.mark.parametrize("command", ["show instructg2i", "show instructg2i --resolved", "list"])
def test_a_reader_that_leaves_is_no_failure(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ours = [sys.executable, "-m", "graphcond", "recipe", *command.split()]
    done = subprocess.run(ours, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def answer(command: str, *, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours as a shell does, with ``shell`` after it."""
    return subprocess.run(
        f"{shlex.quote(sys.executable)} -m graphcond {command} {shell}",
        shell=True,
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_characters_that_the_output_lacks_are_escaped(encoding: str, tmp_path: Path) -> None:
    name = "naïve 絵 \udcff"
    file = tmp_path / f"{name}.yaml"
    file.write_text(find_recipe("sgcond-i").read_text().replace("name: sgcond-i", "name: naïve 絵"))
    shown = answer(f"recipe check {shlex.quote(str(file))}", PYTHONIOENCODING=encoding)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert ("絵" if encoding == "utf-8" else "\\u7d75") in shown.stdout


def test_output_that_goes_nowhere_does_not_stop_a_command(tmp_path: Path) -> None:
    for shell in (">&-", "<&- >&- 2>&-"):
        assert answer("recipe show instructg2i", shell=shell).returncode == 0
        assert answer(f"recipe schema --out {tmp_path / 'schema.json'}", shell=shell).returncode == 0
        assert json.loads((tmp_path / "schema.json").read_text())


def test_a_full_disk_behind_the_output_is_said() -> None:
    shown = answer("recipe show instructg2i", shell="> /dev/full")
    assert shown.returncode == 2
    assert shown.stderr == "error: standard output cannot be written (No space left on device)\n"
    assert answer("recipe show instructg2i", shell="> /dev/full 2>&1").returncode == 2


def test_what_is_loaded_is_said_and_doctor_answers_in_any_encoding(tmp_path: Path) -> None:
    """And nothing else is, where xformers was built for another torch."""
    warns = 'import logging\nlogging.getLogger("xformers").warning("xFormers can\'t load extensions")\n'
    for folder, file, content in [
        ("xformers", "__init__.py", warns),
        ("xformers", "ops.py", ""),
        ("xformers-0.0.35.dist-info", "METADATA", "Name: xformers\nVersion: 0.0.35\n"),
    ]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file).write_text(content)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    shown = answer("doctor", PYTHONIOENCODING="cp1252", PYTHONPATH=path)
    assert shown.returncode == 0
    assert "\\u2713" in shown.stdout
    assert "xformers has no" in shown.stdout
    assert shown.stderr == "loading torch and diffusers ...\n"


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"{version('graphcond')}\n"


def test_flags_are_shown_without_a_value(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run(monkeypatch, "demo", "--help")
    shown = capsys.readouterr().out
    assert "--quick" in shown
    assert "bool" not in shown


def test_libraries_may_format_warnings_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    run(monkeypatch, "--help")
    assert warnings.formatwarning(Notice("read"), Notice, "file.py", 1, line="x") == "note: read\n"
    assert "file.py:1" in warnings.formatwarning(
        "old", UserWarning, "file.py", 1, line="x"
    )  # as DGL calls it


def test_a_notice_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(find_recipe("sgcond-i").read_text().replace("without_graph:", "null:"))
    command = [sys.executable, "-m", "graphcond", "recipe", "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("note: conditions.scene.null is called without_graph now")


def test_light_commands_load_no_torch() -> None:
    code = (
        "import sys, graphcond, graphcond.cli; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import graphcond

    assert all(getattr(graphcond, name) is not None for name in graphcond.__all__)
    assert set(graphcond.__all__) <= set(dir(graphcond))
    with pytest.raises(AttributeError, match="nonsense"):
        graphcond.nonsense  # noqa: B018


def test_the_app_lists_all_commands() -> None:
    listed = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"demo", "sample", "train", "generate", "evaluate", "doctor"} <= listed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_is_said(name: str) -> None:
    script = (
        "import os, signal, sys, time; from graphcond.recipe import yaml_files\n"
        "from graphcond import cli\n"
        "def stopped():\n"
        f"    try: os.kill(os.getpid(), signal.{name}); time.sleep(9)\n"
        "    finally: print('left in order')\n"
        "yaml_files.shipped_recipes = stopped\n"
        "sys.argv = ['graphcond', 'recipe', 'list']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 128 + getattr(signal, name)
    assert (done.stdout, done.stderr) == ("left in order\n", "stopped\n")


def test_help_groups_the_commands_by_use(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run(monkeypatch, "--help")
    shown = capsys.readouterr().out
    places = [shown.index(group) for group in ("Start", "Data", "Train and draw", "Measure and compare")]
    assert places == sorted(places)
    assert places[1] < shown.index(" sample-all ") < places[2] < shown.index(" generate ") < places[3]
    assert shown.index(" report ") > places[3]
    assert "Commands" not in shown, "a command has no group"
