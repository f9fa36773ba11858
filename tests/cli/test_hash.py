"""``tokenward hash``: a secret nobody can guess, and the hash that the server keeps."""

import re
from hashlib import sha256

import pytest

from tests.dev import command

GOOD = "x" * 40


def hashed(secret):
    return "sha256:" + sha256(secret.encode()).hexdigest()


def test_a_new_secret_comes_with_its_hash(tmp_path):
    said = command("hash", cwd=tmp_path)
    assert said.code == 0
    secret, hash = (line.split()[1] for line in said.out.splitlines())
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert hash == hashed(secret)
    assert f"NIGHTLY_SECRET_HASH={hash}" in said.err
    assert secret not in said.err
    assert list(tmp_path.iterdir()) == []


def test_no_two_secrets_are_the_same(run):
    assert run("hash").out != run("hash").out


def test_for_programs_it_is_json(run):
    said = run("hash", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json == {"secret": said.json["secret"], "hash": hashed(said.json["secret"])}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_that_exists_is_hashed_and_not_repeated(run, end):
    said = run("hash", "--stdin", stdin=GOOD + end)
    assert (said.code, said.out) == (0, f"hash    {hashed(GOOD)}\n")
    assert GOOD not in said.err
    assert run("hash", "--stdin", "--json", stdin=GOOD + end).json == {"hash": hashed(GOOD)}


def test_what_the_file_is_told_is_what_the_server_accepts(run, here):
    hash = run("hash", "--json").json["hash"]
    (here / "tokenward.toml").write_text(
        f'[callers.nightly]\nproof = "client_secret"\nsecrets = ["{hash}"]\n'
    )
    assert run("check", "--json").json["ok"] is True


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "has 0 characters"),
        ("\n", "has 0 characters"),
        ("x" * 31, "has 31 characters"),
        ("x" * 20 + "\n" + "x" * 20, "that no client can send"),
        ("ü" * 40, "that no client can send"),
        ("x" * 39 + "\t", "that no client can send"),
        (b"\xff" * 40, "that no client can send"),
    ],
)
def test_a_secret_that_will_not_do_is_refused_and_not_repeated(run, secret, why):
    said = run("hash", "--stdin", stdin=secret)
    assert (said.code, said.out) == (1, "")
    assert why in said.err
    told = run("hash", "--stdin", "--json", stdin=secret)
    assert (told.code, told.err) == (1, "")
    assert told.json["ok"] is False
    assert why in told.json["error"]
    if len(secret) > 1:
        assert (secret if isinstance(secret, str) else "\ufffd") not in said.err + told.out
