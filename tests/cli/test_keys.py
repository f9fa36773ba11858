"""``tokenward keys``: beside a server that runs, and between two runs."""

import asyncio
import json
import subprocess
import time

import httpx2
import pytest

from tests import hsm
from tests.dev import around, program
from tests.running import CONFIG, free_port, hashed
from tokenward.clock import now
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet
from tokenward.server.keyring import KeyRing
from tokenward.server.rotation import states
from tokenward.server.seal import Seal
from tokenward.server.stores import open_store

EXPECTED = Expected(issuer="i", audience="a")
SECRET = "nightly-" + "k" * 40
FILE = """
store = "sqlite:tokenward.db"
listen = "127.0.0.1:{port}"
[audit]
to = "audit.jsonl"
[issuers.main]
url = "http://127.0.0.1:{port}"
[issuers.ims]
url = "http://127.0.0.1:{port}/ims"
profile = "ims"
rotate_every = "never"
[callers.nightly]
proof = "client_secret"
secrets = ["{secret}"]
[tokens.reports]
audience = "https://api.example.com"
scopes = ["reports:read"]
lifetime = "5m"
[[allow]]
caller = "nightly"
token = "reports"
scope = "reports:read"
"""


@pytest.fixture
def folder(tmp_path):
    text = FILE.format(port=free_port(), secret=hashed(SECRET))
    (tmp_path / CONFIG).write_text(text)
    return tmp_path


def keys(folder, *arguments, environ=None):
    return subprocess.run(
        program("keys", *arguments),
        cwd=folder,
        env={**around(), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(folder, *arguments):
    done = keys(folder, "list", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["keys"]


class serving:  # noqa: N801 - reads as what it does
    def __init__(self, folder, environ=None):
        self.folder = folder
        self.environ = environ or {}

    def __enter__(self):
        self.process = subprocess.Popen(
            program("serve", "--json"),
            cwd=self.folder,
            env={**around(), **self.environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            if json.loads(line).get("event") == "ready":
                self.url = json.loads(line)["url"]
                return self
        raise AssertionError("it did not start")

    def __exit__(self, *problem):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def ask(self):
        form = {"grant_type": "client_credentials"}
        with httpx2.Client() as http:
            return http.post(f"{self.url}/token", data=form, auth=("nightly", SECRET))

    def token(self):
        return self.ask().json()["access_token"]

    def jwks(self):
        with httpx2.Client() as http:
            return http.get(f"{self.url}/.well-known/jwks.json").json()

    def verifies(self, token):
        expected = Expected(issuer=self.url, audience="https://api.example.com")
        return verify(token, KeySet.parse(self.jwks()), expected, now=time.time())


def test_before_the_first_start_there_are_none(folder):
    assert listed(folder) == []
    assert "no keys yet" in keys(folder, "list").stderr


def test_a_change_between_two_runs(folder):
    with serving(folder) as server:
        old = server.token()
    before = listed(folder)
    assert [(key["issuer"], key["algorithm"], key["state"]) for key in before] == [
        ("main", "ES256", "current"),
        ("ims", "RS256", "current"),
    ]
    assert keys(folder, "rotate", "--issuer", "main").returncode == 0
    states = [key["state"] for key in listed(folder, "--issuer", "main")]
    assert states == ["current", "next"]
    with serving(folder) as server:
        assert [key["kid"] for key in server.jwks()["keys"]] == [
            key["kid"] for key in listed(folder, "--issuer", "main")
        ]
        assert server.verifies(old)
        assert server.verifies(server.token())
    assert listed(folder, "--issuer", "ims") == before[1:]


def test_a_hurry_and_a_key_that_leaked(folder):
    with serving(folder) as server:
        old = server.token()
    [first] = listed(folder, "--issuer", "main")
    assert keys(folder, "rotate", "--now", "--issuer", "main").returncode == 0
    current, retired = listed(folder, "--issuer", "main")
    assert (retired["kid"], retired["state"], current["state"]) == (
        first["kid"],
        "retired",
        "current",
    )
    with serving(folder) as server:
        assert server.verifies(old)
    done = keys(folder, "revoke", first["kid"])
    assert done.returncode == 0
    assert "gone" in done.stdout
    with serving(folder) as server:
        assert first["kid"] not in str(server.jwks())
        assert server.verifies(server.token())
        with pytest.raises(Exception, match="no key fits"):
            server.verifies(old)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rotate", "--issuer", "nobody"], 1, "there is no issuer 'nobody'"),
        (["revoke"], 2, "revoke needs the id of a key"),
        (["revoke", "nonsense"], 1, "there is no key 'nonsense' here"),
        (["list", "nonsense"], 2, "only revoke takes one"),
        (["list", "--now"], 2, "--now goes with rotate"),
        (["burn"], 2, "burn"),
        ([], 2, ""),
    ],
)
def test_what_cannot_be_done_is_said(folder, arguments, code, said):
    done = keys(folder, *arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_change_that_is_on_its_way_is_not_begun_again(folder):
    with serving(folder):
        pass
    assert keys(folder, "rotate", "--issuer", "main").returncode == 0
    done = keys(folder, "rotate", "--issuer", "main")
    assert done.returncode == 1
    assert "on its way already" in done.stderr
    assert "--now" in done.stderr


def test_a_store_in_memory_has_nothing_to_show(folder):
    file = folder / CONFIG
    file.write_text(file.read_text().replace("sqlite:tokenward.db", "memory:"))
    done = keys(folder, "list")
    assert done.returncode == 1
    assert "the store is memory:" in done.stderr


def test_the_wrong_encryption_key_is_said_and_changes_nothing(folder):
    with serving(folder):
        pass
    before = listed(folder)
    key = folder / "tokenward.db.key"
    kept = key.read_bytes()
    key.write_bytes(b"A" * 43 + b"\n")
    done = keys(folder, "rotate", "--now")
    assert done.returncode == 1
    assert "sealed with another encryption key" in done.stderr
    key.write_bytes(kept)
    assert listed(folder) == before


def test_another_encryption_key_takes_the_place_of_one(folder):
    with serving(folder) as server:
        token = server.token()
    before = listed(folder)
    file = folder / "tokenward.db.key"
    old, new = file.read_text(), "N" * 43 + "\n"
    file.write_text(new + old)
    done = keys(folder, "reseal")
    assert done.returncode == 0
    assert "Sealed anew: 2." in done.stdout
    assert "Sealed anew: 0." in keys(folder, "reseal").stdout
    file.write_text(new)
    assert listed(folder) == before
    with serving(folder) as server:
        assert server.verifies(token)
    file.write_text(old)
    done = keys(folder, "reseal")
    assert done.returncode == 1
    assert "sealed with another encryption key" in done.stderr


def test_keys_in_a_hardware_module(folder, softhsm):
    environ = {**softhsm.environ, "PIN": hsm.PIN}
    file = folder / CONFIG
    where = f'signer = "pkcs11"\nmodule = "{softhsm.module}"\ntoken = "{softhsm.token()}"\n'
    inside = f'[issuers.main.keys]\n{where}pin = "${{PIN}}"\n[issuers.ims]'
    file.write_text(file.read_text().replace("[issuers.ims]", inside))
    with serving(folder, environ) as server:
        old = server.token()
        assert server.verifies(old)
    done = keys(folder, "rotate", "--now", "--issuer", "main", environ=environ)
    assert done.returncode == 0, done.stderr
    with serving(folder, environ) as server:
        assert len(server.jwks()["keys"]) == 2
        assert server.verifies(old)
        assert server.verifies(server.token())
    with serving(folder, {**environ, "PIN": "wrong-pin"}) as server:
        assert len(server.jwks()["keys"]) == 2
        refused = server.ask()
        assert refused.status_code == 503
        assert refused.json()["error"] == "temporarily_unavailable"
        with httpx2.Client() as http:
            assert http.get(f"{server.url}/readyz").json()["failing"] == ["keys"]
    done = keys(folder, "rotate", "--now", environ={**environ, "PIN": "wrong-pin"})
    assert done.returncode == 1
    assert "refuses the PIN" in done.stderr
    assert "wrong-pin" not in done.stdout + done.stderr


async def test_killed_in_the_middle_of_twenty_changes_one_key_signs_and_no_token_is_lost(folder):
    """R-05: whatever moment it is, the store holds one edition or the next."""
    with serving(folder):
        pass
    store = open_store(f"sqlite:{folder}/tokenward.db", now)
    await store.open()
    seal = Seal.from_file(folder / "tokenward.db.key")
    tokens = []
    for round_number in range(20):
        changing = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            program("keys", "rotate", "--now", "--issuer", "main"),
            cwd=folder,
            env=around(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        mint = await KeyRing(shelf=store.shelf, seal=seal).ring("main", "ES256")
        tokens.append(mint.sign({"iss": "i", "aud": "a", "exp": now() + 300}, typ="at+jwt"))
        if round_number % 2:
            await asyncio.sleep(0.2 + 0.03 * round_number)
            changing.kill()
        changing.wait()
        ring = await KeyRing(shelf=store.shelf, seal=seal).ring("main", "ES256")
        assert [state for _, state in states(ring.entries, now())].count("current") == 1
        assert len(ring.keys) <= 3
        for token in tokens[-2:]:  # two keys before the current one are still believed
            assert verify(token, ring.verifying(), EXPECTED, now=now())["iss"] == "i"
    await store.close()
    assert len({key["kid"] for key in listed(folder)}) >= 3
