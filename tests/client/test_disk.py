"""Tokens that outlive a process: asked for once, for their owner alone, and never an obstacle."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.client.standin import Issuer
from tests.running import environment
from tokenward.client import TokenAuth, TokenCache, TokenError
from tokenward.client.disk import NOWHERE, DiskCache, of_user
from tokenward.oauth.messages import JWT, AccessToken
from tokenward.oauth.scope import Scope

NOW = 1_800_000_000.0


class Asked:
    """Somebody to ask, who counts, and says no if told so."""

    def __init__(self):
        self.count = 0
        self.now = NOW
        self.life = 3600.0
        self.error = None

    def __call__(self):
        self.count += 1
        if self.error:
            raise self.error
        return AccessToken(
            value=f"token-{self.count}",
            expires_at=self.now + self.life,
            scope=Scope.parse("a b"),
            types=frozenset({JWT}),
        )


@pytest.fixture
def ask():
    return Asked()


@pytest.fixture
def disk(tmp_path, ask):
    return DiskCache(folder=tmp_path / "cache" / "tokens", clock=lambda: ask.now)


def files(disk, kind="json"):
    return sorted(disk.folder.glob(f"*.{kind}"))


# ── What is kept ───────────────────────────────────────────────────────────────────────────────


def test_another_process_takes_what_one_got_exactly_as_it_was(disk, ask):
    first = disk.get("key", ask)
    again = DiskCache(folder=disk.folder, clock=disk.clock).get("key", ask)
    assert again == first
    assert (again.scope, again.types) == (first.scope, first.types)
    assert ask.count == 1


def test_another_question_has_another_token(disk, ask):
    assert disk.get("one", ask).value != disk.get("two", ask).value
    assert ask.count == 2


@pytest.mark.parametrize(
    ("life", "age", "is_good"),
    [
        (3600, 0, True),
        (3600, 3479, True),
        (3600, 3480, False),
        (3600, 3601, False),
        (100, 79, True),
        (100, 80, False),
        (3600, -1, False),
    ],
)
def test_it_is_handed_out_while_enough_of_it_is_left(disk, ask, life, age, is_good):
    ask.life = life
    disk.get("key", ask)
    ask.now += age
    disk.get("key", ask)
    assert ask.count == (1 if is_good else 2)


def test_a_refused_token_is_not_handed_out_again(disk, ask):
    token = disk.get("key", ask)
    disk.refuse("key", token)
    assert disk.get("key", ask).value == "token-2"


def test_who_refuses_an_old_token_does_not_lose_the_new_one(disk, ask):
    old = disk.get("key", ask)
    disk.refuse("key", old)
    new = disk.get("key", ask)
    disk.refuse("key", old)
    assert disk.get("key", ask) == new


def test_while_nobody_can_be_asked_a_token_that_is_still_good_will_do(disk, ask):
    token = disk.get("key", ask)
    ask.now += 3600 - 31
    ask.error = TokenError("down", transient=True)
    assert disk.get("key", ask) == token
    ask.now += 1
    with pytest.raises(TokenError, match="down"):
        disk.get("key", ask)


def test_what_the_server_has_decided_counts_at_once(disk, ask):
    disk.get("key", ask)
    ask.now += 3600 - 100
    ask.error = TokenError("no", error="invalid_client", status=401)
    with pytest.raises(TokenError, match="invalid_client"):
        disk.get("key", ask)


def test_a_failure_is_not_kept(disk, ask):
    ask.error = TokenError("no")
    with pytest.raises(TokenError):
        disk.get("key", ask)
    ask.error = None
    assert disk.get("key", ask).value == "token-2"


# ── For whom it is kept ────────────────────────────────────────────────────────────────────────


def test_the_files_are_for_their_owner_and_no_name_says_what_was_asked(disk, ask):
    before = os.umask(0)
    try:
        disk.get("issuer client s3cr3t", ask)
    finally:
        os.umask(before)
    assert stat.S_IMODE(disk.folder.stat().st_mode) == 0o700
    found = list(disk.folder.iterdir())
    assert {path.suffix for path in found} == {".json", ".lock"}
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "s3cr3t" not in path.name
        assert b"s3cr3t" not in path.read_bytes()


def test_what_is_in_a_file_is_what_the_documents_say(disk, ask):
    disk.get("key", ask)
    (path,) = files(disk)
    assert json.loads(path.read_bytes()) == {
        "access_token": "token-1",
        "token_type": "Bearer",
        "scope": "a b",
        "types": [JWT],
        "obtained_at": NOW,
        "expires_at": NOW + 3600,
    }


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_could_touch_is_not_believed(disk, ask, mode):
    disk.get("key", ask)
    files(disk)[0].chmod(mode)
    assert disk.get("key", ask).value == "token-2"
    assert stat.S_IMODE(files(disk)[0].stat().st_mode) == 0o600


def test_a_link_is_not_followed(disk, ask, tmp_path):
    disk.get("key", ask)
    (path,) = files(disk)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    assert disk.get("key", ask).value == "token-2"
    assert json.loads(elsewhere.read_bytes())["access_token"] == "token-1"
    assert not path.is_symlink()


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(disk, ask, mode):
    disk.folder.mkdir(parents=True)
    disk.folder.chmod(mode)
    disk.get("key", ask)
    assert list(disk.folder.iterdir()) == []
    assert stat.S_IMODE(disk.folder.stat().st_mode) == mode


def test_no_token_is_in_a_repr(disk, ask):
    disk.get("key", ask)
    assert "token-1" not in repr(disk)


# ── What is no error ───────────────────────────────────────────────────────────────────────────

BROKEN = {
    "empty": b"",
    "half": b'{"access_token": "tok',
    "not text": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "another version": b'{"token": "x"}',
    "without times": b'{"access_token": "x", "token_type": "Bearer", "scope": "", "types": []}',
}
FIELDS = {
    "access_token": [None, 7, "", "a b", "x\n", "x" * 70_000],
    "token_type": [None, "mac", 7],
    "scope": [None, 7, "a\nb"],
    "types": [None, "x", 7],
    "expires_at": [None, "1", [], float("nan"), float("inf"), 10**400],
    "obtained_at": [None, "1", {}, float("nan"), float("-inf"), -(10**400)],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_no_error_and_is_replaced(disk, ask, content):
    disk.get("key", ask)
    files(disk)[0].write_bytes(content)
    assert disk.get("key", ask).value == "token-2"
    assert disk.get("key", ask).value == "token-2"


@pytest.mark.parametrize(("name", "value"), [(name, it) for name in FIELDS for it in FIELDS[name]])
def test_a_file_of_nonsense_is_no_error_and_is_replaced(disk, ask, name, value):
    disk.get("key", ask)
    (path,) = files(disk)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {name: value}))
    assert disk.get("key", ask).value == "token-2"
    assert disk.get("key", ask).value == "token-2"


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path, ask):
    (tmp_path / "file").write_text("")
    for folder in tmp_path / "file", tmp_path / "file" / "tokens", Path("/proc/tokenward"):
        assert DiskCache(folder=folder).get("key", ask)
    assert ask.count == 3


def test_something_else_in_its_place_is_no_error(disk, ask):
    disk.get("key", ask)
    (path,) = files(disk)
    path.unlink()
    path.mkdir()
    assert disk.get("key", ask).value == "token-2"
    assert disk.get("key", ask).value == "token-3"
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert disk.get("key", ask).value == "token-4"
    assert disk.get("key", ask).value == "token-4"


def test_a_lock_that_is_never_given_back_costs_patience_and_nothing_else(tmp_path, ask):
    disk = DiskCache(folder=tmp_path / "tokens", patience=0.05, clock=lambda: ask.now)
    holding, done = threading.Event(), threading.Event()

    def forever():
        holding.set()
        assert done.wait(20)
        return ask()

    stuck = threading.Thread(target=lambda: disk.get("key", forever))
    stuck.start()
    assert holding.wait(20)
    assert disk.get("key", ask).value == "token-1"
    done.set()
    stuck.join()


def test_what_has_expired_is_taken_away_and_what_is_not_ours_is_left(disk, ask):
    ask.life = 100
    disk.get("old", ask)
    ask.now += 101
    other = disk.folder / "notes.json"
    other.write_text("mine")
    half = disk.folder / f"{'0' * 64}.{'1' * 16}"
    half.write_text("half a file")
    os.utime(half, (0, 0))
    os.utime(other, (0, 0))
    disk.get("new", ask)
    assert not half.exists()
    assert other.exists()
    assert len(files(disk)) == 2


# ── Where, and whether ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/x"}, "/x/tokenward/tokens"),
        ({"XDG_CACHE_HOME": "relative"}, "/somebody/.cache/tokenward/tokens"),
        ({}, "/somebody/.cache/tokenward/tokens"),
        ({"TOKENWARD_CACHE": "/y", "XDG_CACHE_HOME": "/x"}, "/y"),
    ],
)
def test_the_folder_is_where_caches_are(environ, folder, monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.setattr(sys, "platform", "linux")
    assert of_user(environ) == DiskCache(folder=Path(folder))


@pytest.mark.parametrize("said", ["off", "OFF", " off ", "relative/folder"])
def test_it_can_be_turned_off(said):
    assert of_user({"TOKENWARD_CACHE": said, "XDG_CACHE_HOME": "/x"}) is NOWHERE


def test_nowhere_asks_every_time(ask):
    token = NOWHERE.get("key", ask)
    NOWHERE.refuse("key", token)
    assert NOWHERE.get("key", ask).value == "token-2"


# ── With a client ──────────────────────────────────────────────────────────────────────────────


def client(issuer, disk, **more):
    settings = {"scope": "a", "cache": TokenCache(), **more}
    return TokenAuth.client_credentials(issuer.url, "service-x", "s3cr3t", disk=disk, **settings)


def test_the_next_process_asks_nobody(issuer, tmp_path, caller):
    disk = DiskCache(folder=tmp_path / "tokens")
    first = caller.token(client(issuer, disk))
    assert caller.token(client(issuer, disk)) == first
    assert len(issuer.questions) == 1


def test_another_client_scope_or_audience_finds_nothing_there(issuer, tmp_path):
    disk = DiskCache(folder=tmp_path / "tokens")
    client(issuer, disk).token()
    client(issuer, disk, scope="b").token()
    client(issuer, disk, audience="c").token()
    issuer.client = ("service-x", "other")
    TokenAuth.client_credentials(
        issuer.url, "service-x", "other", scope="a", disk=disk, cache=TokenCache()
    ).token()
    assert len(issuer.questions) == 4


def test_a_token_that_the_api_refuses_is_gone_from_the_disk_too(issuer, api, tmp_path, caller):
    disk = DiskCache(folder=tmp_path / "tokens")
    caller.token(client(issuer, disk))
    api.accepts = lambda token: token != "token-1"
    answer = caller.request(client(issuer, disk), "GET", api.url)
    assert answer.status_code == 200
    assert api.tokens == ["Bearer token-1", "Bearer token-2"]
    assert caller.token(client(issuer, disk)).value == "token-2"


def test_without_being_asked_to_a_client_keeps_nothing(issuer, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    TokenAuth.client_credentials(issuer.url, "service-x", "s3cr3t", cache=TokenCache()).token()
    assert list(tmp_path.iterdir()) == []


PROCESSES = 16

CROWD = f"""
import os, sys
from tokenward import token_for
import tokenward.client.auth, tokenward.client.disk

for _ in range({PROCESSES}):
    if not os.fork():
        os.write(1, b"here\\n")
        os.write(1, f"{{token_for('itwin', scope='a')}}\\n".encode())
        os._exit(0)
ended = [os.wait()[1] for _ in range({PROCESSES})]
sys.exit(any(ended))
"""


def test_sixteen_processes_at_the_same_time_ask_once(tmp_path):
    with Issuer() as issuer:
        issuer.gate.clear()
        environ = {
            "TOKENWARD_ISSUER": issuer.url,
            "TOKENWARD_CLIENT_ID": "service-x",
            "TOKENWARD_CLIENT_SECRET": "s3cr3t",
            "XDG_CACHE_HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
        }
        with subprocess.Popen(
            [sys.executable, "-c", CROWD], env=environment(environ), stdout=subprocess.PIPE
        ) as crowd:
            assert [crowd.stdout.readline() for _ in range(PROCESSES)] == [b"here\n"] * PROCESSES
            issuer.gate.set()
            said = crowd.stdout.read().split()
        assert crowd.returncode == 0
        assert said == [b"token-1"] * PROCESSES
        assert len(issuer.questions) == 1
        (kept,) = (tmp_path / "tokenward" / "tokens").glob("*.json")
        assert json.loads(kept.read_bytes())["access_token"] == "token-1"


def test_who_is_killed_while_asking_leaves_no_lock_behind(tmp_path):
    with Issuer() as issuer:
        issuer.gate.clear()
        environ = {
            "TOKENWARD_ISSUER": issuer.url,
            "TOKENWARD_CLIENT_ID": "service-x",
            "TOKENWARD_CLIENT_SECRET": "s3cr3t",
            "XDG_CACHE_HOME": str(tmp_path),
        }
        code = "from tokenward import token_for; print(token_for('itwin'))"
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, env=environment(environ), stdout=subprocess.PIPE) as first:
            while not issuer.questions:
                assert first.poll() is None
                time.sleep(0.01)
            first.kill()
        issuer.gate.set()
        done = subprocess.run(
            command, env=environment(environ), capture_output=True, check=True, timeout=30
        )
        assert done.stdout == b"token-2\n"
