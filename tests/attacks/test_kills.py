"""Killed at any moment, again and again: what was handed over holds, what is spent stays spent.

Security research §4, R-01 to R-04 for all that there is to spend. ``TOKENWARD_KILLS=200`` is the
long version; each fifth kill comes while it starts.
"""

import json
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from itertools import count
from urllib.parse import urlencode

import pytest

from tests.attacks.lab import API, FORM, MORE, NIGHTLY, basic
from tests.world import FILE, US
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.presented import JWT_BEARER_ASSERTION

KILLS = int(os.environ.get("TOKENWARD_KILLS", "5"))
CROWD = 4
DICE = random.Random()  # noqa: S311 - nothing secret
OLDER = 25
"""Of each kind of older promises, so many are looked at after every kill, and all at the end."""

KEY = SigningKey.generate("ES256", kid="signers")
JWK = json.dumps(KEY.public_jwk()).replace('":', '" =').replace("{", "{{").replace("}", "}}")
SIGNER = f"""
[callers.signer]
proof = "private_key_jwt"
keys  = {{{{ keys = [{JWK}] }}}}
[[allow]]
name   = "reports for who signs"
caller = "signer"
token  = "reports"
scope  = "reports:read"
"""
LONG_LIVED = FILE.replace('"15m"', '"2h"').replace('"5m"', '"2h"')
EXPECTED = Expected(issuer=US, audience="https://api.example.com/reports")
REPORTS = {"grant_type": "client_credentials", "audience": "reports"}


def assertion(number):
    now = int(time.time())
    said = {"iss": "signer", "sub": "signer", "aud": US, "jti": f"{number}-{DICE.random()}"}
    return KEY.sign({**said, "iat": now, "exp": now + 3_500}, typ="JWT")


class Wire:
    """One who asks, on a connection that is kept; raises ``OSError`` or ``HTTPException``."""

    def __init__(self, port):
        self.connection = HTTPConnection("127.0.0.1", port, timeout=20)
        self.close = self.connection.close

    def post(self, path, form, auth=None):
        headers = {"Content-Type": FORM} | ({"Authorization": basic(*auth)} if auth else {})
        self.connection.request("POST", path, urlencode(form), headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def by_secret(self):
        status, said = self.post("/token", REPORTS, NIGHTLY)
        assert status == 200, said
        return said["access_token"]

    def by_assertion(self, signed):
        """A token; none if it is refused as used before."""
        kind = {"client_assertion_type": JWT_BEARER_ASSERTION, "client_assertion": signed}
        status, said = self.post("/token", REPORTS | kind)
        if status == 200:
            return said["access_token"]
        assert (status, said["error"]) == (401, "invalid_client"), said
        return None

    def revoke(self, token):
        status, said = self.post("/revoke", {"token": token}, NIGHTLY)
        assert status == 200, said

    def active(self, token):
        status, said = self.post("/introspect", {"token": token}, API)
        assert status == 200, said
        return said["active"]


@dataclass
class Promises:
    """What clients know because they heard it, and what they cannot know."""

    live: list = field(default_factory=list)
    revoked: list = field(default_factory=list)
    spent: list = field(default_factory=list)
    in_doubt: list = field(default_factory=list)
    """Tokens about whose revocation nothing was heard."""

    unheard: list = field(default_factory=list)
    """Assertions about which nothing was heard."""

    def add(self, other, most=None):
        """Also these; or a few of them, in whatever order."""
        for name, theirs in vars(other).items():
            some = theirs if most is None else DICE.sample(theirs, min(most, len(theirs)))
            getattr(self, name).extend(some)
        return self


def load(port, numbers):
    """Ask for everything, in any order, until nobody answers; what was promised."""
    mine, by_secret = Promises(), []
    with suppress(OSError, HTTPException), closing(Wire(port)) as wire:
        while True:
            match DICE.choice(["secret", "assertion", "again", "revoke", "look"]):
                case "secret":
                    by_secret.append(wire.by_secret())
                    mine.live.append(by_secret[-1])
                case "assertion":
                    mine.unheard.append(assertion(next(numbers)))
                    mine.live.append(wire.by_assertion(mine.unheard[-1]))
                    mine.spent.append(mine.unheard.pop())
                case "again" if mine.spent:
                    assert wire.by_assertion(DICE.choice(mine.spent)) is None
                case "revoke" if by_secret:
                    mine.in_doubt.append(by_secret.pop(DICE.randrange(len(by_secret))))
                    mine.live.remove(mine.in_doubt[-1])
                    wire.revoke(mine.in_doubt[-1])
                    mine.revoked.append(mine.in_doubt.pop())
                case "look" if mine.live and mine.revoked:
                    assert wire.active(DICE.choice(mine.live))
                    assert not wire.active(DICE.choice(mine.revoked))
    return mine


def check(server, keys, promised):
    """All of it holds, and what nobody had heard of is settled now; the keys, the same as ever."""
    published = server.ask("GET", "/.well-known/jwks.json").json
    assert published == (keys or published)
    now, found = time.time(), KeySet.parse(published)
    for token in [*promised.live, *promised.in_doubt]:
        verify(token, found, EXPECTED, now=now)
    with closing(Wire(server.port)) as wire:
        for token in promised.live:
            assert wire.active(token), "a token that was handed over does not work any more"
        for token in promised.revoked:
            assert not wire.active(token), "a revoked token is alive again"
        for signed in promised.spent:
            assert wire.by_assertion(signed) is None, "an assertion is good a second time"
        assert wire.by_assertion(assertion("control")), "no assertion is good at all"
        for token in promised.in_doubt:
            (promised.live if wire.active(token) else promised.revoked).append(token)
        for signed in promised.unheard:
            wire.by_assertion(signed)  # perhaps the first time, perhaps not
            assert wire.by_assertion(signed) is None
            promised.spent.append(signed)
    promised.in_doubt.clear()
    promised.unheard.clear()
    return published


def trail(path):
    """The events; and how many lines are half a line, each of them by itself."""
    events, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            torn += 1
            assert b'{"time"' not in line[1:], "a whole line is lost with half of another"
    return events, torn


@pytest.mark.timeout(60 + 10 * KILLS)
def test_killed_again_and_again_nothing_is_lost_and_nothing_is_spent_twice(labs):
    server = labs(config=LONG_LIVED + MORE + SIGNER).server
    config, path = server.config.read_text(), server.folder / "audit.jsonl"
    promised, latest, numbers, keys = Promises(), Promises(), count(), None
    for kill in range(KILLS):
        workers, mode = ("1", "2")[kill % 2], ("behind", "before")[kill // 2 % 2]
        server.config.write_text(config.replace("[audit]", f'[audit]\nmode = "{mode}"'))
        if kill % 5 == 0:
            server.launch("--workers", workers)
            time.sleep(DICE.uniform(0, 0.5))
            server.kill()
        server.start("--workers", workers)
        keys = check(server, keys, latest)
        check(server, keys, Promises().add(promised, OLDER))
        promised.add(latest)
        with ThreadPoolExecutor(CROWD) as crowd:
            heard = [crowd.submit(load, server.port, numbers) for _ in range(CROWD)]
            time.sleep(DICE.uniform(0.02, 0.5))
            server.kill()
        latest = Promises()
        for one in heard:
            latest.add(one.result())
        events, torn = trail(path)
        if mode == "before":
            accounted = {event.get("token_sha256") for event in events if event["event"] == "token"}
            handed_over = latest.live + latest.revoked + latest.in_doubt
            missing = {sha256(it.encode()).hexdigest() for it in handed_over} - accounted
            assert not missing, "tokens were handed over that the trail knows nothing of"
    server.start()
    check(server, keys, promised.add(latest))
    assert server.end(signal.SIGTERM) == 0
    events, torn = trail(path)
    counted = ", ".join(f"{len(them)} {name}" for name, them in vars(promised).items() if them)
    print(f"{KILLS} kills: {counted}; {len(events)} events, {torn} half lines")  # noqa: T201
    assert promised.live
    assert promised.revoked
    assert promised.spent
