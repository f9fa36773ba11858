"""What tests of commands share: a dev server, and a way to run a command in this process."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dev import Dev, Ended, developing
from tokenward.cli import main
from tokenward.client.cache import SHARED


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with developing(tmp_path_factory.mktemp("dev")) as running:
        yield running


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a dev server that has ended has kept."""
    with developing(tmp_path_factory.mktemp("ended")) as ended:
        pass
    return ended.kept


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to be in, and an environment without anything of ours."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKENWARD_ISSUER", "TOKENWARD_CLIENT_ID", "TOKENWARD_CLIENT_SECRET", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def run(here, monkeypatch, capsys):
    """Runs a command in this process: ``run("hash", stdin="…")``."""

    def ended(*arguments: str, stdin: str | bytes = "") -> Ended:
        SHARED.clear()  # a process of its own would remember nothing
        monkeypatch.setattr(sys, "argv", ["tokenward", *arguments])
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ended(code=end.value.code or 0, out=said.out, err=said.err)

    return ended


@pytest.fixture
def sourced(dev, here, monkeypatch) -> Dev:
    """The dev server, after its dev.env was sourced."""
    for name, value in dev.environ.items():
        monkeypatch.setenv(name, value)
    return dev
