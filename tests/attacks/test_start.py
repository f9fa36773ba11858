"""Configurations meant to break it: each is refused in words, and never with a traceback."""

import subprocess
import sys

import pytest

from tests.attacks.lab import environment
from tests.world import hashed

GOOD = f"""
store  = "memory:"
issuer = "http://127.0.0.1:9"
[callers.a]
proof   = "client_secret"
secrets = ["{hashed("x")}"]
[tokens.t]
audience = "x"
scopes   = ["r"]
[[allow]]
caller = "a"
token  = "t"
scope  = "r"
"""


def at(url):
    return GOOD.replace("http://127.0.0.1:9", url)


def stored(url):
    return GOOD.replace("memory:", url)


def start(folder, text):
    file = folder / "tokenward.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with subprocess.Popen(
        [sys.executable, "-m", "tokenward.server", "-c", file, "--port", "0"],
        env=environment(),
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as child:
        said = ""
        for line in child.stderr:
            said += line
            if "serving on" in line:
                child.terminate()
        return child.wait(10), said


CRASHES = {
    "an issuer that mints nothing yet": (0, 'store = "memory:"\nissuer = "http://127.0.0.1:9"\n'),
    "dots in the path": (78, at("http://127.0.0.1:9/a/../b")),
    "an empty segment": (78, at("http://127.0.0.1:9//")),
    "an escape in the path": (78, at("http://127.0.0.1:9/%61")),
    "tables in tables": (78, f"[a{'.a' * 5_000}]\n{GOOD}"),
    "a number of 5,000 digits": (78, f"x = {'9' * 5_000}\n{GOOD}"),
    "the store is a folder": (1, stored("sqlite:////tmp")),
    "the store cannot be made": (1, stored("sqlite:///proc/x.db")),
    "a plain secret": (78, GOOD.replace(hashed("x"), "hunter2hunter2")),
    "a client with a bar in its id": (78, GOOD.replace("proof ", 'client_id = "m|x"\nproof ')),
    "keys over plain http": (
        78,
        GOOD + '[callers.m]\nproof = "jwt"\nissuer = "http://example.com/"\naudience = "y"\n',
    ),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_configuration_is_used_or_refused_in_words(tmp_path, name):
    expected, text = CRASHES[name]
    code, said = start(tmp_path, text)
    assert "Traceback" not in said, said[-300:]
    assert code == expected, said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "key",
    [b"short", b"\xff" * 43, b"", b"A" * 44 + b"\n" + b"B" * 43],
    ids=["short", "binary", "empty", "two lines, one too long"],
)
def test_an_encryption_key_that_is_none_is_refused_in_words(tmp_path, key):
    (tmp_path / "t.db.key").write_bytes(key)
    code, said = start(tmp_path, stored("sqlite:t.db"))
    assert "Traceback" not in said, said[-300:]
    assert code in (1, 78)


def test_a_file_that_links_to_itself_is_refused_in_words(tmp_path):
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    command = [sys.executable, "-m", "tokenward.server", "-c", loop]
    told = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert told.returncode == 78
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", ["t.db.key", "audit.jsonl"])
def test_a_secret_file_that_others_can_read_is_at_least_spoken_of(tmp_path, name):
    path = tmp_path / name
    path.write_text("A" * 43 + "\n" if name == "t.db.key" else "")
    path.chmod(0o644)
    said = start(tmp_path, f'audit = {{ to = "audit.jsonl" }}\n{stored("sqlite:t.db")}')[1]
    assert path.stat().st_mode & 0o077 == 0 or name in said
