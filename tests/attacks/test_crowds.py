"""Slow people, slow upstreams, slow issuers, and many at once: nobody else waits for them
(security research §4, R-16 and R-28 to R-30)."""

import random
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests import upstream as u
from tests.attacks.lab import API, FORM, KEY, MORE, NIGHTLY, REPORTS, Answer, Lab, basic
from tests.servers import JWKS, Issuer, until_now
from tests.upstream import Upstream
from tests.world import AUDIENCE, FILE
from tokenward.jose.keys import SigningKey
from tokenward.remote.keysets import COOLDOWN, PAUSE

DICE = random.Random()  # noqa: S311 - nothing secret
GET = "GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n"
POST = "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {}\r\n"
POST += f"Content-Type: {FORM}\r\nContent-Length: {{}}\r\n\r\n{{}}"


def post(path, auth, form):
    return POST.format(path, basic(*auth), len(form), form)


def everything(lab, token):
    """Requests of every kind that ask nobody else."""
    bearer = f"Authorization: Bearer {lab.user_token()}\r\n"
    return [
        post("/token", NIGHTLY, REPORTS),
        post("/introspect", API, f"token={token}"),
        GET.format("/.well-known/jwks.json", ""),
        GET.format("/healthz", ""),
        GET.format("/getToken?audience=itwin", bearer),
    ]


def longest(lab, times):
    """Seconds that the slowest of everything took; all of it is answered."""
    took = [0.0]
    for request in everything(lab, lab.server.post().token) * times:
        began = time.monotonic()
        assert Answer(lab.server.raw(request)).status == 200
        took.append(time.monotonic() - began)
    return max(took)


# ── those we ask ────────────────────────────────────────────────────────────────────────────────

SLOW = 20
"""Tokens that the slow upstream is asked for; each by five callers."""

SLOWLY = """
[tokens.slow{n}]
upstream       = "client_credentials"
token_endpoint = "{upstream}"
client_id      = "a"
client_secret  = "${{UPSTREAM_SECRET}}"
[[allow]]
caller = "mobile"
claims = {{ permissions = "models:read" }}
token  = "slow{n}"
"""
BROKEN = ["500", "hang_up", "garbage"]
TRUSTED = ["good", "hang", "late", *BROKEN]
"""Issuers whose people may have reports, by what becomes of them."""

TRUST = """
[callers.{name}]
proof    = "jwt"
issuer   = "{issuer}"
audience = "{audience}"
[[allow]]
caller = "{name}"
token  = "reports"
scope  = "reports:read"
"""


@pytest.fixture(scope="module")
def issuers():
    with ExitStack() as stack:
        yield {name: stack.enter_context(Issuer(KEY).serving()) for name in TRUSTED}


@pytest.fixture(scope="module")
def slow():
    with Upstream() as slow:
        yield slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory, slow, issuers):
    more = [SLOWLY.format(n=n, upstream=slow.token_endpoint) for n in range(SLOW)]
    for name, issuer in issuers.items():
        more.append(TRUST.format(name=name, issuer=issuer.url, audience=AUDIENCE))
    more = "".join(more).replace("{", "{{").replace("}", "}}")
    with ExitStack() as stack:
        lab = Lab(tmp_path_factory.mktemp("crowds"), stack, config=FILE + MORE + more)
        lab.server.start()
        assert lab.server.get_token(lab.user_token(), "?audience=itwin").status == 200
        yield lab
        assert lab.server.end(15) == 0
        assert "raceback" not in lab.server.stderr


@pytest.fixture(scope="module")
def server(lab):
    return lab.server


def test_a_hundred_who_wait_for_an_upstream_wait_for_so_long_and_nobody_else_does(
    lab, server, slow
):
    slow.answers.extend([u.silent, u.dripping, u.token(wait=5), u.dripping] * (SLOW // 4))
    slow.always = u.dripping

    def wait(n):
        began = time.monotonic()
        answer = server.exchange(lab.user_token(), audience=f"slow{n % SLOW}")
        return answer, time.monotonic() - began

    with ThreadPoolExecutor(100) as crowd:
        waiting = [crowd.submit(wait, n) for n in range(100)]
        until_now(lambda: len(slow.questions) >= SLOW)
        assert longest(lab, 2) < 2
        assert sum(one.done() for one in waiting) <= 25, "nobody waited while others were heard"
        heard = [one.result() for one in waiting]
    assert Counter(answer.status for answer, _ in heard) == {503: 75, 200: 25}
    assert max(took for _, took in heard) < 15
    assert all(answer.status == 200 or int(answer["retry-after"]) > 0 for answer, _ in heard)


class People:
    """Those of one issuer."""

    def __init__(self, lab, issuer):
        self.lab, self.issuer = lab, issuer

    def known(self):
        """What one hears whose key is known, and whom nobody has seen before."""
        token = self.lab.user_token(by=self.issuer, sub=f"auth0|{DICE.random()}")
        return self.lab.server.exchange(token, audience="reports").status

    def strangers(self, many):
        """Tokens that are each signed with a key of its own, which nobody has published."""
        made = [SigningKey.generate("ES256", kid=f"{DICE.random()}") for _ in range(many)]
        return [self.lab.user_token(key=key, by=self.issuer) for key in made]

    def unknown(self, token):
        return self.lab.server.exchange(token, audience="reports").status


@pytest.mark.parametrize("name", ["good", *BROKEN])
def test_whoever_shows_unknown_keys_has_their_issuer_asked_once(lab, issuers, name):
    issuer, people = issuers[name], People(lab, issuers[name])
    assert people.known() == 200
    asked = issuer.count()
    issuer.behaviour[JWKS] = name.removeprefix("good")
    tokens = people.strangers(40)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as crowd:
        heard = set(crowd.map(people.unknown, tokens))
    again = (time.monotonic() - began) / (COOLDOWN if name == "good" else PAUSE)
    assert asked + 1 <= issuer.count() <= asked + 1 + again
    assert heard == {400 if name == "good" else 503}
    assert [people.known() for _ in range(5)] == [200] * 5


def test_an_issuer_that_hangs_is_waited_for_by_those_who_need_it_and_asked_once(lab, issuers):
    issuer, people = issuers["hang"], People(lab, issuers["hang"])
    assert people.known() == 200
    asked = issuer.count()
    issuer.behaviour[JWKS] = "hang"
    tokens = people.strangers(40)
    with ThreadPoolExecutor(40) as crowd:
        waiting = [crowd.submit(people.unknown, token) for token in tokens]
        until_now(lambda: issuer.count() > asked)
        began = time.monotonic()
        assert people.known() == 200
        assert time.monotonic() - began < 2
        assert longest(lab, 2) < 2
        assert not any(one.done() for one in waiting)
        issuer.let_go.set()
        assert {one.result() for one in waiting} == {400}
    assert issuer.count() == asked + 1


def test_an_issuer_that_was_away_is_believed_when_it_is_back(lab, issuers):
    issuer, people = issuers["late"], People(lab, issuers["late"])
    issuer.behaviour["*"] = "500"
    assert people.known() == 503
    issuer.behaviour.clear()
    until = time.monotonic() + 10
    while people.known() != 200:
        assert time.monotonic() < until
        time.sleep(0.2)


# ── those who ask us ────────────────────────────────────────────────────────────────────────────


def test_two_hundred_who_say_nothing_or_half_of_it_are_in_nobodys_way(lab, server):
    whole = post("/token", NIGHTLY, REPORTS).encode()
    halves = [b"", b"P", whole[:40], whole[:-5], whole.partition(b"\r\n\r\n")[0]]
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(200)]
        ending = threading.Event()

        def drip():
            while not ending.wait(0.2):
                for number, one in enumerate(slow):
                    if number % 10 == 2:  # they go on, a header's letter at a time
                        with suppress(OSError):
                            one.sendall(b"x")

        for number, one in enumerate(slow):
            one.sendall(halves[number % len(halves)])
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert longest(lab, 5) < 3
        finally:
            ending.set()
            dripping.join()


def test_of_five_hundred_at_once_fifty_leave_and_all_others_are_answered(lab, server):
    token = server.post().token
    requests = [it.encode() for it in everything(lab, token)]
    with ExitStack() as stack:
        crowd = [stack.enter_context(server.connect(30)) for _ in range(500)]
        for number, one in enumerate(crowd):
            one.sendall(requests[number % len(requests)])
        leaving = set(DICE.sample(range(500), 50))
        for number in leaving:  # at once, as a phone does that loses its network
            crowd[number].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            crowd[number].close()
        staying = [one for number, one in enumerate(crowd) if number not in leaving]
        heard = Counter(Answer(read(one)).status for one in staying)
    assert set(heard) <= {200, 429, 503}
    assert heard.total() == 450
    assert heard[200] > 0
    assert server.live(token)
    assert server.post().status == 200


def read(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))
