"""The fast lane says what ASGI would say, byte for byte; and what has to wait may wait there."""

import asyncio
import contextvars
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.server.toys import (
    HOME,
    LANES,
    Closed,
    Echo,
    Wire,
    ask,
    front,
    request,
    roundabout,
)
from tokenward.server import asgi
from tokenward.server.bounds import Limits
from tokenward.server.http import JSON, Answer
from tokenward.server.serve import serving

FORM = "Content-Type: application/x-www-form-urlencoded"
HOME_PAGE = f"Origin: {HOME}"


@pytest.fixture(scope="module")
def both():
    """The same toys on both lanes."""
    hasty = Limits(idle=0.06)
    with (
        serving(front(), limits=hasty) as fast,
        serving(roundabout(front()), limits=hasty) as usual,
    ):
        yield fast, usual


@pytest.fixture(scope="module")
def patient():
    """The same, for those who take their time."""
    with serving(front()) as fast, serving(roundabout(front())) as usual:
        yield fast, usual


def heard(url, said):
    """All the server says to this until it closes, without what is another every time."""
    with Wire(url) as wire:
        wire.say(said)
        wire.closed()
        told = wire.buffer
    told = re.sub(rb"(?m)^date: .*\r\n", b"", told)
    return re.sub(rb'(x-request-id: |"(?:request_)?id": ")[0-9a-f]{16}', rb"\1id", told)


def asked(both, said):
    with ThreadPoolExecutor(2) as pool:
        return pool.map(heard, both, [said, said])


GET, HEAD, OPTIONS = request(), request("HEAD"), request("OPTIONS")
SAID = {
    "a get": GET,
    "a get with a query": request(path="/token?a=b%20c&d"),
    "an empty query": request(path="/token?"),
    "a head": HEAD,
    "options": OPTIONS,
    "a post": request("POST", "/token", FORM, body=b"a=b"),
    "an empty post": request("POST", "/token", FORM, body=b""),
    "a post without a length": request("POST", "/token", FORM),
    "a get with a body": request("GET", "/token", body=b"abc"),
    "a post of the longest body": request("POST", "/token", FORM, body=b"x" * 65536),
    "a post of one byte more": request("POST", "/token", FORM, body=b"x" * 65537),
    "a length of many digits": request("POST", "/token", "Content-Length: " + "9" * 30),
    "a chunked post": request("POST", "/token", "Transfer-Encoding: chunked")
    + b"3\r\na=b\r\n0\r\n\r\n",
    "a chunked post with a trailer": request("POST", "/token", "Transfer-Encoding: chunked")
    + b"3\r\na=b\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n",
    "an expectation": request("POST", "/token", "Expect: 100-continue", body=b"a=b"),
    "another expectation": request("POST", "/token", "Expect: something", body=b"a=b"),
    "an upgrade": request("POST", "/token", "Upgrade: h2c", "Connection: upgrade", body=b"a=b"),
    "another method": request("DELETE", "/token"),
    "a method nobody knows": request("BREW", "/token"),
    "another path": request(path="/nowhere"),
    "a path that only resembles": request(path="/token/"),
    "an escaped path": request(path="/%74oken"),
    "a path with dots": request(path="/x/../token"),
    "the absolute form": request(path="http://tokens.example/token"),
    "the absolute form of another host": request(path="http://other.example/token?a"),
    "a fragment": request(path="/token#x"),
    "HTTP/1.0": request(version="1.0"),
    "HTTP/1.0 that stays": request("GET", "/token", "Connection: keep-alive", version="1.0"),
    "HTTP/2.0": request(version="2.0"),
    "a close": request("GET", "/token", "Connection: close"),
    "a close and more": request("GET", "/token", "Connection: close") + GET,
    "a page of ours": request("GET", "/token", HOME_PAGE),
    "a page of others": request("GET", "/token", "Origin: https://other.example"),
    "two origins": request("GET", "/token", HOME_PAGE, "Origin: https://other.example"),
    "two origins the other way": request("GET", "/token", "Origin: https://o.example", HOME_PAGE),
    "a refusal to a page of ours": request("GET", "/refused", HOME_PAGE),
    "two credentials": request("GET", "/token", "Authorization: a", "Authorization: b"),
    "credentials with blanks": request("GET", "/token", "Authorization:  \t Basic eDp5 \t "),
    "an empty header": request("GET", "/token", "Authorization:"),
    "a header of Latin-1": request("GET", "/token", "Authorization: \xe9"),
    "no host": b"GET /token HTTP/1.1\r\n\r\n",
    "two hosts": request("GET", "/token", "Host: other.example"),
    "a host that is none": b"GET /token HTTP/1.1\r\nHost: a b\r\n\r\n",
    "metadata": request(path="/jwks"),
    "metadata unchanged": request("GET", "/jwks", 'If-None-Match: "1"'),
    "metadata for a page": request("GET", "/jwks", HOME_PAGE),
    "the head of metadata": request("HEAD", "/jwks"),
    "a closed route": request("POST", "/closed", HOME_PAGE, body=b"x"),
    "a mistake of ours": request(path="/broken"),
    "a refusal": request(path="/refused"),
    "a refusal of text that is not ASCII": request(path="/denied"),
    "an outage": request(path="/later"),
    "something slow": request(path="/slow?0.01"),
    "the head of something slow": request("HEAD", "/slow?0.01"),
    "something slow for a page": request("GET", "/slow?0.01", HOME_PAGE),
    "something slow and a close": request("GET", "/slow?0.01", "Connection: close"),
    "a mistake in something slow": request(path="/slow?x"),
    "three in a row": GET + request(path="/jwks") + request("POST", "/token", body=b"a"),
    "slow, fast, slow": request(path="/slow?0.05") + GET + request(path="/slow?0.01"),
    "fast, chunked, fast": GET
    + request("POST", "/token", "Transfer-Encoding: chunked")
    + b"1\r\na\r\n0\r\n\r\n"
    + GET,
    "fast, then half a head": GET + b"GET /token HTT",
    "length and chunked": request(
        "POST", "/token", "Content-Length: 3", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\n",
    "two lengths": request("POST", "/token", "Content-Length: 1", body=b"ab"),
    "a hundred headers": request("GET", "/token", *(f"X-{n}: 1" for n in range(99))),
    "a hundred and one headers": request("GET", "/token", *(f"X-{n}: 1" for n in range(100))),
    "a long target": request(path="/token?" + "x" * 8_185),
    "a target too long": request(path="/token?" + "x" * 8_186),
    "a large head": request("GET", "/token", "X: " + "x" * 40_000),
    "a bare line feed": b"GET /token HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /token HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "blanks before the colon": b"GET /token HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_both_lanes_say_the_same(both, said):
    fast, usual = asked(both, said)
    assert fast == usual
    assert fast.startswith(b"HTTP/1.1 ") or said.endswith(b"HTT")


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /token HTTP/1.1\r\n\r\n",
        request(path="/token#x"),
        b"\x00\x01\r\n\r\n",
        request(version="9"),
    ],
    ids=["no host", "a fragment", "junk", "a version"],
)
def test_what_is_good_is_answered_before_what_is_bad_is_refused(both, bad):
    """ASGI has no answer yet when the bad one is read, and closes after it without a word."""
    fast, usual = asked(both, GET + bad)
    assert fast.count(b"HTTP/1.1 200 ") == usual.count(b"HTTP/1.1 200 ") == 1
    assert re.findall(rb"HTTP/1.1 (\d+) ", fast)[1:] in ([b"400"], [b"505"])
    assert fast.count(b"connection: close") == usual.count(b"connection: close") == 1


@pytest.mark.parametrize("cut", [1, 10, 40, 70, -4, -1])
def test_a_request_in_two_pieces_is_answered_like_one(both, cut):
    whole = request("POST", "/token", FORM, HOME_PAGE, body=b"grant_type=x")
    answers = []
    for url in both:
        with Wire(url) as wire:
            wire.say(whole[:cut])
            time.sleep(0.02)
            wire.say(whole[cut:])
            answers.append(wire.hear())
    assert answers[0].status == answers[1].status == 200
    assert answers[0].json | {"id": ""} == answers[1].json | {"id": ""}


# ── the same head again ──────────────────────────────────────────────────────────────────────────


POST = request("POST", "/token", FORM, body=b"a=b")
AGAIN = {
    "twice": [GET, GET, GET],
    "another body of that length": [POST, POST[:-1] + b"c", POST],
    "a body that begins like a request": [POST, POST[:-3] + b"GET", POST],
    "another body": [POST, request("POST", "/token", FORM, body=b"a=bc"), POST],
    "another head between": [GET, request(path="/jwks"), GET, GET],
    "a head that only begins so": [GET, GET[:-2] + b"A: b\r\n\r\n", GET],
    "another method between": [GET, HEAD, GET, HEAD],
    "a refusal after it": [POST, POST, request("POST", "/nowhere", body=b"a=b")],
    "the usual way between": [
        POST,
        request("POST", "/token", "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
        POST,
        POST,
    ],
    "two at once between": [GET, GET + GET, GET],
    "half of it, then the rest": [POST, POST[:-2], POST[-2:], POST],
    "half a head, then the rest": [GET, GET[:9], GET[9:], GET],
    "the rest of a head that reads like one, and that alone": [
        b"GET /token HTTP/1.1\r\nAuthorization: Bearer mine\r\nX: ",
        *[GET] * 3,
    ],
    "one byte more": [GET, GET + b"G", GET[1:], GET],
    "empty lines before": [b"\r\n\r\n" + POST, POST, b"\r\n\r\n" + POST],
    "something slow": [request(path="/slow?0.01")] * 3,
    "something slow, then fast": [request(path="/slow?0.01"), GET, request(path="/slow?0"), GET],
    "a page of ours": [request("GET", "/token", HOME_PAGE)] * 3,
    "two credentials": [request("GET", "/token", "Authorization: a", "Authorization: b")] * 3,
    "metadata, and unchanged": [
        request(path="/jwks"),
        request("GET", "/jwks", 'If-None-Match: "1"'),
        request(path="/jwks"),
        request("GET", "/jwks", 'If-None-Match: "1"'),
    ],
    "a mistake of ours": [request(path="/broken")] * 2,
    "a close": [GET, request("GET", "/token", "Connection: close")],
}


@pytest.mark.parametrize("said", AGAIN.values(), ids=AGAIN)
def test_the_same_head_means_the_same_again(patient, said):
    """Each part is sent once what is whole by then has been answered."""
    last = request("GET", "/token", "Connection: close")

    def talk(url):
        with Wire(url) as wire:
            for part in said:
                wire.say(part)
                time.sleep(0.03)
            with suppress(ConnectionError):  # after a refusal they close by themselves
                wire.say(last)
            wire.closed()
            told = wire.buffer
        told = re.sub(rb"(?m)^date: .*\r\n", b"", told)
        return re.sub(rb'(x-request-id: |"(?:request_)?id": ")[0-9a-f]{16}', rb"\1id", told)

    with ThreadPoolExecutor(2) as pool:
        fast, usual = pool.map(talk, patient)
    assert fast == usual
    assert fast.count(b"HTTP/1.1 ") >= 2


def test_a_head_that_came_before_is_not_read_again():
    echo = Echo()
    with serving(front(routes={"/token": echo})) as url, Wire(url) as wire:
        for body in (b"a=b", b"a=c", b"a=d"):
            assert wire.say(request("POST", "/token", FORM, body=body)).hear().status == 200
    assert [received.body for received in echo.seen] == [b"a=b", b"a=c", b"a=d"]
    assert echo.seen[2].headers is echo.seen[1].headers is echo.seen[0].headers
    assert len({received.id for received in echo.seen}) == 3


def test_another_connection_knows_nothing_of_it():
    echo = Echo()
    with serving(front(routes={"/token": echo})) as url:
        for _ in range(2):
            assert ask(url).status == 200
    assert echo.seen[1].headers is not echo.seen[0].headers


# ── the lane is used, and left ───────────────────────────────────────────────────────────────────


class Watching:
    """Says in which lane it was asked: ASGI has made a task before the endpoint is called."""

    methods = frozenset({"GET", "POST"})
    cors = Closed.cors

    def __init__(self):
        self.tasks = []

    async def answer(self, received):
        self.tasks.append(asyncio.current_task().get_coro().__qualname__)
        return Answer(200, (JSON,), b"{}")


@pytest.fixture
def watched():
    endpoint = Watching()
    with serving(front(routes={"/": endpoint})) as url:
        yield url, endpoint.tasks


ORDINARY = "_do"


@pytest.mark.parametrize(
    "said", [request(path="/"), request("POST", "/", body=b"x"), request("HEAD", "/?a=b")]
)
def test_the_ordinary_is_answered_at_once(watched, said):
    url, tasks = watched
    with Wire(url) as wire:
        for _ in range(3):
            wire.say(said)
            assert wire.hear(bodiless=said.startswith(b"HEAD")).status == 200
    assert tasks == [ORDINARY] * 3


@pytest.mark.parametrize(
    "said",
    [
        request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request("POST", "/", "Expect: 100-continue", body=b"x"),
        request("GET", "/", "Upgrade: websocket", "Connection: upgrade"),
        request(path="/", version="1.0"),
        request(path="http://x.example/"),
    ],
)
def test_whatever_is_out_of_the_ordinary_goes_the_usual_way(watched, said):
    url, tasks = watched
    with Wire(url) as wire:
        wire.say(said)
        while (answer := wire.hear()).status == 100:
            pass
        assert answer.status == 200
    # An upgrade that is not taken up is read again without the offer, and then it is ordinary.
    assert tasks == [ORDINARY if b"Upgrade" in said else "RequestResponseCycle.run_asgi"]


def test_the_lane_may_be_closed():
    endpoint = Watching()
    with serving(front(routes={"/": endpoint}, fast=False)) as url, Wire(url) as wire:
        for _ in range(3):
            assert wire.say(request(path="/")).hear().status == 200
    assert endpoint.tasks == ["RequestResponseCycle.run_asgi"] * 3


def test_one_packet_does_not_keep_the_lane_for_itself(watched):
    url, tasks = watched
    with Wire(url) as wire:
        wire.say(request(path="/") * 20)
        for _ in range(20):
            assert wire.hear().status == 200
    assert tasks[:16] == [ORDINARY] * 16
    assert ORDINARY not in tasks[16:20]


# ── an answer that has to wait ───────────────────────────────────────────────────────────────────


class Waiting:
    """Does before its answer whatever a test wants."""

    methods = frozenset({"GET", "POST"})
    cors = Closed.cors

    def __init__(self, wait):
        self.wait = wait

    async def answer(self, received):
        said = await self.wait(received)
        return Answer(200, (JSON,), str(said).encode())


def told(wait, *said):
    with serving(front(routes={"/": Waiting(wait)})) as url, Wire(url) as wire:
        for one in said or (request(path="/"),):
            wire.say(one)
        return [wire.hear().body for _ in said or (1,)]


def test_a_deadline_set_in_the_first_step_ends_a_later_one():
    async def wait(received):
        try:
            async with asyncio.timeout(0.05):
                await asyncio.sleep(30)
        except TimeoutError:
            return "too late"

    assert told(wait) == [b"too late"]


def test_the_task_is_the_same_before_and_after_waiting():
    async def wait(received):
        before = asyncio.current_task()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        return before is asyncio.current_task() and before is not None

    assert told(wait) == [b"True"]


def test_context_variables_outlast_waiting():
    variable = contextvars.ContextVar("variable", default="unset")

    async def wait(received):
        reset = variable.set(received.query.decode())
        await asyncio.sleep(0.01)
        said = variable.get()
        variable.reset(reset)
        return said

    assert told(wait, request(path="/?a"), request(path="/?b")) == [b"a", b"b"]


def test_a_group_of_tasks_may_be_started_in_the_first_step():
    async def wait(received):
        async with asyncio.TaskGroup() as group:
            found = [group.create_task(asyncio.sleep(0.01, number)) for number in range(3)]
        return [task.result() for task in found]

    assert told(wait) == [b"[0, 1, 2]"]


def test_a_mistake_after_waiting_is_a_mistake_of_ours(caplog):
    async def wait(received):
        await asyncio.sleep(0.01)
        raise LookupError("s3cret")

    [body] = told(wait)
    assert b"server_error" in body
    assert b"s3cret" not in body
    assert [record.name for record in caplog.records] == [asgi.__name__.rpartition(".")[0]]


def test_what_waits_is_counted_cancelled_and_said_at_the_end():
    begun = threading.Event()

    async def wait(received):
        begun.set()
        await asyncio.sleep(30)

    with serving(front(routes={"/": Waiting(wait)}), drain=0.1) as url:
        wire = Wire(url)
        wire.say(request(path="/"))
        assert begun.wait(5)
    with wire:
        answer = wire.hear()
    assert answer.status == 503
    assert answer["connection"] == "close"


def test_whoever_leaves_while_the_answer_waits_is_no_error(caplog):
    ended = threading.Event()

    async def wait(received):
        await asyncio.sleep(0.1)
        ended.set()

    with serving(front(routes={"/": Waiting(wait), "/token": Echo()})) as url:
        with Wire(url) as wire:
            wire.say(request(path="/"))
            time.sleep(0.03)
        assert ended.wait(5)
        assert ask(url).status == 200
    assert caplog.records == []


BROKEN = b"zz\r\n"
CHUNKED = ("POST", "/token", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
@pytest.mark.parametrize(
    "said",
    [
        request(*CHUNKED, "Expect: 100-continue") + BROKEN,
        request(path="/slow?0.05") * 2 + request(*CHUNKED) + BROKEN,
    ],
    ids=["a body that is waited for", "behind two others"],
)
def test_a_body_that_is_refused_is_no_mistake_of_ours(lane, said, caplog):
    with serving(lane(front())) as url:
        with Wire(url) as wire:
            wire.say(said).closed()
        time.sleep(0.1)
        assert ask(url).status == 200
    assert caplog.records == []


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
def test_answers_come_in_the_order_of_the_questions(lane):
    """However fast the second would be."""
    routes = {"/": Waiting(lambda received: asyncio.sleep(0.1, "slow")), "/token": Echo()}
    with serving(lane(front(routes=routes))) as url, Wire(url) as wire:
        wire.say(request(path="/") + request(path="/token?2") + request(path="/token?3"))
        bodies = [wire.hear().body for _ in range(3)]
    assert bodies[0] == b"slow"
    assert [b'"query": "%d"' % n in bodies[n - 1] for n in (2, 3)] == [True, True]


def test_a_client_that_does_not_read_is_cut_off():
    class Large(Waiting):
        async def answer(self, received):
            return Answer(200, (JSON,), b"x" * 1_000_000)

    limits = Limits(write=0.3, leave=0.2)
    with serving(front(routes={"/": Large(None), "/token": Echo()}), limits=limits) as url:
        with Wire(url) as wire:
            wire.say(request(path="/") * 40)
            time.sleep(1.2)
            received = 0
            with suppress(ConnectionError):
                while data := wire.socket.recv(1_000_000):
                    received += len(data)
            assert received < 30_000_000
        assert ask(url).status == 200


def test_connections_leave_no_task_behind():
    """Each connection has a task in reserve, and takes it along."""
    counted = []

    async def wait(received):
        await asyncio.sleep(0.01)
        counted.append(len(asyncio.all_tasks()))
        return counted[-1]

    with serving(front(routes={"/": Waiting(wait), "/token": Echo()})) as url:
        told_first = ask(url, path="/").body
        for _ in range(50):
            assert ask(url).status == 200
        time.sleep(0.1)
        assert ask(url, path="/").body == told_first
