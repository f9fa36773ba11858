"""What all commands have in common: help with examples, exit codes, colours, no traceback."""

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import typer.main

from tests.cli.reference import leaves
from tests.dev import around, command, program
from tokenward import __version__
from tokenward.cli import SHOW, _plain, main
from tokenward.cli.commands import app

COMMANDS = (
    *("dev", "serve", "check", "explain", "hash", "keys", "broker", "usage"),
    *("backup", "restore", "token", "inspect"),
)
GROUPS = {
    "clients": ("list", "show", "add", "disable", "enable", "remove"),
    "clients secrets": ("list", "add", "remove"),
    "api-keys": ("new", "list", "expire", "revoke"),
    "connections": ("list", "remove"),
    "hub": (),
    "hub keys": ("new", "list", "disable"),
    "identity": ("new", "show", "token"),
}
TOP = tuple(name for name in GROUPS if " " not in name)
BELOW = tuple(f"{group} {name}" for group, names in GROUPS.items() for name in names)
LEAVES = (*COMMANDS, *BELOW)


def parameters():
    """Every option of every command, as typer knows it."""
    return {name: [it.opts for it in one.params] for name, one in leaves().items()}


def test_there_are_these_commands_and_each_has_its_file():
    assert tuple(parameters()) == LEAVES
    assert tuple(typer.main.get_command(app).commands) == (*COMMANDS, *TOP)


@pytest.mark.parametrize("name", GROUPS)
def test_help_of_several_names_them_and_ends_with_examples(name, tmp_path):
    shown = command(*name.split(), "--help", cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: tokenward {name} ")
    listed, _, examples = shown.out.partition("\nExamples:\n")
    assert f"  tokenward {name} " in examples
    assert all(f"\n  {one} " in listed for one in GROUPS[name])


@pytest.mark.parametrize("name", LEAVES)
def test_help_ends_with_examples_of_this_very_command(name, tmp_path):
    shown = command(*name.split(), "--help", cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: tokenward {name} ")
    options, _, examples = shown.out.partition("\nExamples:\n")
    assert f"  tokenward {name}" in examples
    for names in parameters()[name]:
        assert names[-1] in options or names[-1].upper() in options


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_says_what_it_is_for(name):
    silent = [it.name for it in leaves()[name].params if not getattr(it, "help", "")]
    assert silent == []


@pytest.mark.parametrize("name", sorted(set(LEAVES) - {"serve", "dev"}))
def test_whatever_says_something_can_say_it_as_json(name):
    assert ["--json"] in parameters()[name]


@pytest.mark.parametrize("name", ["serve", "dev"])
def test_what_keeps_running_can_say_when_it_is_ready_as_json(name):
    assert ["--json"] in parameters()[name]


def test_help_of_all_names_every_command_and_where_to_begin(tmp_path):
    shown = command("--help", cwd=tmp_path)
    assert shown.code == 0
    assert all(f"\n  {name} " in shown.out for name in (*COMMANDS, *TOP))
    assert "\n  tokenward dev\n" in shown.out


def test_no_command_is_not_understood_and_shows_the_help(tmp_path):
    shown = command(cwd=tmp_path)
    assert shown.code == 2
    assert "Usage: tokenward" in shown.out + shown.err


def test_the_version_is_that_of_the_package(tmp_path):
    shown = command("--version", cwd=tmp_path)
    assert shown.out.startswith(f"tokenward {__version__} (Python 3.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tokne"], "Did you mean 'token'?"),
        (["hash", "--jsn"], "--json"),
        (["dev", "--prot", "1"], "--port"),
        (["dev", "--port", "65536"], "--port"),
        (["dev", "--port", "-1"], "--port"),
        (["dev", "--port", "http"], "--port"),
        (["dev", "--port"], "--port"),
        (["dev", "now"], "now"),
        (["explain"], "CALLER"),
        (["serve", "--port", "http"], "--port"),
        (["serve", "--port", "70000"], "not a number from 0 to 65535"),
        (["serve", "--workers", "0"], "not a number from 1 to 64"),
        (["keys"], "reseal"),
        (["keys", "revoke"], "the id of a key"),
        (["serve", "now"], "now"),
        (["token", "--client-secret", "s"], "--client-secret-file"),
        (["inspect", "--issuer"], "--issuer"),
        (["clients", "ad"], "Did you mean 'add'?"),
        (["clients", "add"], "ID"),
        (["clients", "secrets", "remove", "partner"], "NAME"),
        (["clients", "add", "partner", "--secret", "s"], "--secret"),
    ],
)
def test_what_is_not_understood_ends_with_2_and_says_what_was_meant(run, arguments, said):
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--json"], {"json": True}),
        (["--port", "0"], {"port": 0}),
        (["--port=65535", "--json"], {"port": 65_535, "json": True}),
    ],
)
def test_a_plain_dev_starts_without_the_machinery_of_a_command_line(arguments, options):
    assert _plain(arguments) == options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--port"],
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "٣"],
        ["--port="],
        ["--data", ""],
        ["--show-config"],
        ["--json=1"],
        ["now"],
    ],
)
def test_whatever_is_not_plain_is_left_to_that_machinery(arguments):
    assert _plain(arguments) is None


def test_a_plain_dev_imports_no_typer_and_no_page(tmp_path):
    heavy = ["jinja2", "pydantic", "rich", "starlette", "typer"]
    modules = "tokenward.cli.practising, tokenward.server.app, tokenward.server.serve"
    code = f"import sys, {modules}; print(sorted(set({heavy}) & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=around(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"


def at_a_terminal(arguments, **environ):
    """What a command shows to somebody at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        program(*arguments),
        env=around({"TERM": "xterm", **environ}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end was closed
            while some := os.read(ours, 4096):
                shown += some
        process.wait()
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("arguments", [["hash", "--help"], ["check"]])
def test_colours_are_for_people_who_want_them(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "\x1b[" in at_a_terminal(arguments)
    assert "\x1b[" not in at_a_terminal(arguments, NO_COLOR="1")
    assert "\x1b[" not in at_a_terminal(arguments, TERM="dumb")
    piped = command(*arguments, cwd=tmp_path)
    assert "\x1b[" not in piped.out + piped.err


def test_a_secret_is_typed_without_being_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        program("hash", "--stdin"),
        env=around({"TERM": "dumb"}),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"(not shown):" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"a-secret-of-forty-characters-or-even-more\n")
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"hash    sha256:")
        with suppress(OSError):
            while some := os.read(ours, 4096):
                shown += some
    os.close(ours)
    assert b"forty" not in shown


def test_ctrl_c_is_no_mistake_of_anybodys(tmp_path):
    with subprocess.Popen(
        program("inspect"),
        cwd=tmp_path,
        env=around(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        until = time.monotonic() + 30
        while "pipe" not in blocked_in(process.pid) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert out == b""
    assert b"Traceback" not in err


def blocked_in(pid):
    """What the kernel says a process waits for."""
    with suppress(OSError), open(f"/proc/{pid}/wchan") as file:  # noqa: PTH123
        if "pipe" in (name := file.read()):
            return name
    with suppress(OSError), open(f"/proc/{pid}/syscall") as file:  # noqa: PTH123
        if file.read().startswith("0 0x0 "):
            return "read of the pipe"
    return ""


def test_whoever_has_read_enough_may_leave(tmp_path):
    with subprocess.Popen(
        program("--help"),
        cwd=tmp_path,
        env=around(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode in (0, 1)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_terminal_that_knows_ascii_alone_is_no_trouble(form, tmp_path):
    (tmp_path / "tokenward.toml").write_text('[callers."ü…"]\nproof = "nön"\n')
    said = command("check", *form, cwd=tmp_path, environ={"PYTHONIOENCODING": "ascii"})
    assert said.code == 78
    assert said.out.isascii()
    assert said.err.isascii()
    assert form == () or said.json["ok"] is False


def broken(*_):
    raise KeyError("a-secret-that-nobody-must-see")


def test_a_mistake_of_ours_is_told_in_a_sentence_and_without_what_it_says(run, monkeypatch):
    monkeypatch.setattr("tokenward.cli._run", broken)
    ended = run("check")
    assert ended.code == 1
    assert "a mistake of ours: KeyError in test_every_command.py, line " in ended.err
    assert "Please report it" in ended.err
    assert "nobody-must-see" not in ended.err


def test_the_library_alone_says_what_brings_the_commands(run, monkeypatch):
    def lacking(*_):
        raise ModuleNotFoundError("No module named 'typer'", name="typer")

    monkeypatch.setattr("tokenward.cli._run", lacking)
    ended = run("check")
    assert (ended.code, ended.out) == (1, "")
    assert "pip install 'tokenward[server]'" in ended.err


def test_a_mistake_of_ours_says_more_to_those_who_ask(here, monkeypatch):
    monkeypatch.setattr("tokenward.cli._run", broken)
    monkeypatch.setenv(SHOW, "1")
    with pytest.raises(KeyError):
        main()


# ── completion ───────────────────────────────────────────────────────────────────────────────────


def completed(line, cwd):
    """What bash would offer after this line."""
    words = line.split(" ")
    environ = {
        "_TOKENWARD_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    return command(cwd=cwd, environ=environ).out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tokenward ex", ["explain"]),
        ("tokenward token --client", ["--client-id", "--client-secret-file"]),
        ("tokenward dev --sh", ["--show-config"]),
        ("tokenward explain ", ["mobile", "nightly"]),
        ("tokenward explain ni", ["nightly"]),
        ("tokenward explain nightly --token ", ["reports"]),
    ],
)
def test_shells_complete_commands_options_and_names_of_this_folder(line, offered, tmp_path):
    (tmp_path / "tokenward.toml").write_text(
        "[callers.mobile]\n[callers.nightly]\n[tokens.reports]\n"
    )
    assert completed(line, tmp_path) == offered


@pytest.mark.parametrize("file", ["", "callers = 1", "callers = [", "\x00"])
def test_a_file_that_makes_no_sense_completes_nothing(file, tmp_path):
    (tmp_path / "tokenward.toml").write_text(file)
    assert completed("tokenward explain ", tmp_path) == []
