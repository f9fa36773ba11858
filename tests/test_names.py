"""The names that programs import from tokenward: there, typed, and loaded when they are needed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tokenward
from tokenward.client import TokenAuth, get_token
from tokenward.verifier import Verifier

ROOT = Path(__file__).parents[1]


def asked(code):
    """What a new Python says to this."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("name", tokenward.__all__)
def test_every_name_is_there(name):
    assert name in dir(tokenward)
    assert getattr(tokenward, name) is not None


def test_a_name_is_the_very_one_of_where_it_lives():
    assert tokenward.TokenAuth is TokenAuth
    assert tokenward.get_token is get_token
    assert tokenward.Verifier is Verifier


def test_what_is_not_there_is_an_error_like_any_other():
    with pytest.raises(AttributeError, match="module 'tokenward' has no attribute 'Nothing'"):
        tokenward.Nothing  # noqa: B018 - asking is all there is to it
    with pytest.raises(ImportError):
        exec("from tokenward import Nothing")  # noqa: S102 - as a program would write it


def test_the_list_is_sorted_and_says_nothing_twice():
    names = [name for name in tokenward.__all__ if name != "__version__"]
    assert names == sorted(set(names))


def test_importing_tokenward_alone_loads_nothing():
    code = "import sys, tokenward; print([it for it in sys.modules if it.startswith('tokenward.')])"
    assert asked(code) == "[]"


@pytest.mark.parametrize(
    ("name", "loads", "spares"),
    [
        ("OAuthError", "tokenward.oauth", "httpx2"),
        ("AccessToken", "tokenward.oauth", "httpx2"),
        ("TokenAuth", "tokenward.client", "tokenward.verifier"),
        ("Verifier", "tokenward.verifier", "tokenward.client"),
        ("get_token", "tokenward.client", "tokenward.server"),
    ],
)
def test_a_name_loads_its_own_package_and_no_other(name, loads, spares):
    loaded = f"[it for it in {loads, spares} if it in sys.modules]"
    code = f"import sys; from tokenward import {name}; print({loaded})"
    assert asked(code) == f"[{loads!r}]"


def test_types_are_known_to_whoever_checks_them(tmp_path):
    (tmp_path / "program.py").write_text(
        "import tokenward\n"
        "reveal_type(tokenward.get_token)\n"
        "reveal_type(tokenward.Verifier('a', 'b').verify)\n"
        "reveal_type(tokenward.__version__)\n"
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("mypy"), "--strict", "--no-incremental", "program.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "AccessToken" in done.stdout
    assert "Mapping[str, object]" in done.stdout
    assert 'Revealed type is "str"' in done.stdout


def test_the_command_is_the_one_the_package_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"tokenward": "tokenward.cli:main"}
    assert callable(__import__("tokenward.cli", fromlist=["main"]).main)
