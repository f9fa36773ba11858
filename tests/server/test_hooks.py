"""What is hung on the front: who is let in, and who is told of what was answered."""

import re
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.server.toys import LANES, Echo, Slow, Wire, ask, eventually, front, request
from tokenward.server.bounds import Limits, household
from tokenward.server.proxy import Proxy, networks
from tokenward.server.serve import serving


@pytest.fixture(params=LANES.values(), ids=LANES)
def lane(request):
    return request.param


async def pages(scope, receive, send):
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


# Who is let in


class Door:
    """Keeps everybody out for so many seconds."""

    def __init__(self, wait=0):
        self.wait = wait
        self.asked = []

    def __call__(self, address):
        self.asked.append(address)
        return self.wait


REQUESTS = {
    "a get": request(),
    "a head": request("HEAD"),
    "options": request("OPTIONS"),
    "a post": request("POST", "/token", body=b"a=b"),
    "a chunked post": request("POST", "/token", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "another method": request("DELETE", "/token"),
    "another path": request("GET", "/nowhere"),
    "HTTP/1.0": request(version="1.0"),
}


@pytest.mark.parametrize("said", REQUESTS.values(), ids=REQUESTS)
def test_whoever_asks_too_often_hears_when_to_come_again(lane, said):
    door, echo = Door(7), Echo()
    with serving(lane(front(routes={"/token": echo}, admit=door))) as url, Wire(url) as wire:
        wire.say(said)
        heard = wire.hear(bodiless=said.startswith(b"HEAD"))
    assert (heard.status, heard["retry-after"]) == (429, "7")
    assert heard["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{16}", heard["x-request-id"])
    if not said.startswith(b"HEAD"):
        assert heard.json["error"] == "temporarily_unavailable"
    assert door.asked == ["127.0.0.1"]
    assert echo.seen == []


def test_both_lanes_refuse_with_the_same_bytes():
    said = request("GET", "/token", "Origin: https://app.example")
    said += request("POST", "/token", body=b"a=b")
    told = []
    for lane in LANES.values():
        with serving(lane(front(admit=Door(7)))) as url, Wire(url) as wire:
            wire.say(said).closed()
            told.append(re.sub(rb"(?m)^(date|x-request-id): .*\r\n", b"", wire.buffer))
    assert told[0] == told[1]
    assert told[0].count(b"HTTP/1.1 429 ") == 2


def test_the_body_of_whom_we_refuse_is_not_waited_for(lane):
    with serving(lane(front(admit=Door(7)))) as url, Wire(url) as wire:
        wire.say(request("POST", "/token", "Content-Length: 5000"))
        heard = wire.hear()
        assert (heard.status, heard["connection"]) == (429, "close")


def test_the_welcome_are_asked_for_once_per_request(lane):
    door = Door()
    with serving(lane(front(admit=door))) as url, Wire(url) as wire:
        for said in (request(), request("POST", "/token", body=b"a=b"), request()):
            assert wire.say(said).hear().status == 200
    assert door.asked == ["127.0.0.1"] * 3


def test_pages_are_behind_the_same_door(lane):
    with serving(lane(front(pages=pages, admit=Door(1)))) as url:
        assert ask(url, path="/page").status == 429


def test_behind_a_proxy_of_ours_it_is_the_client_who_asks_too_often(lane):
    door = Door()
    proxy = Proxy(trusted=networks(["127.0.0.1"]))
    with serving(lane(front(admit=door, proxy=proxy))) as url:
        for said in (["192.0.2.9"], [], ["192.0.2.7", "192.0.2.8"]):
            ask(url, "GET", "/token", *(f"X-Forwarded-For: {one}" for one in said))
    assert door.asked == ["192.0.2.9", "127.0.0.1", "192.0.2.8"]


# Who is told


class Watcher:
    def __init__(self):
        self.seen = []

    def __call__(self, path, method, status, seconds, id):
        assert 0 <= seconds < 10
        self.seen.append((path, method, status, id))


SEEN = {
    "a get": (request(), "/token", "GET", 200),
    "a head": (request("HEAD"), "/token", "HEAD", 200),
    "options": (request("OPTIONS"), "/token", "OPTIONS", 204),
    "a post": (request("POST", "/token", body=b"a=b"), "/token", "POST", 200),
    "a refusal": (request(path="/refused"), "/refused", "GET", 401),
    "an outage": (request(path="/later"), "/later", "GET", 503),
    "a mistake of ours": (request(path="/broken"), "/broken", "GET", 500),
    "something slow": (request(path="/slow?0.01"), "/slow", "GET", 200),
    "another method": (request("DELETE"), "/token", "DELETE", 405),
    "another path": (request(path="/nowhere"), "", "GET", 404),
    "a path that only resembles": (request(path="/%74oken"), "", "GET", 404),
    "a body too large": (
        request("POST", "/token", "Content-Length: 70000"),
        "/token",
        "POST",
        413,
    ),
}


@pytest.mark.parametrize(("said", "path", "method", "status"), SEEN.values(), ids=SEEN)
def test_every_answer_is_told_of_once(lane, said, path, method, status):
    watcher = Watcher()
    with serving(lane(front(seen=watcher))) as url, Wire(url) as wire:
        wire.say(said)
        heard = wire.hear(bodiless=method == "HEAD")
        assert eventually(lambda: watcher.seen)
    assert watcher.seen == [(path, method, status, heard["x-request-id"])]


def test_an_answer_that_waited_is_told_of_with_its_time(lane):
    told = []
    app = front(routes={"/slow": Slow()}, seen=lambda *said: told.append(said[3]))
    with serving(lane(app)) as url:
        assert ask(url, path="/slow?0.05").status == 200
        assert eventually(lambda: told)
    assert 0.05 <= told[0] < 5


def test_pages_and_those_who_are_refused_are_told_of(lane):
    watcher = Watcher()
    with serving(lane(front(pages=pages, seen=watcher))) as url:
        ask(url, path="/page")
        assert eventually(lambda: watcher.seen)
    with serving(lane(front(admit=Door(1), seen=watcher))) as url:
        ask(url)
        assert eventually(lambda: len(watcher.seen) == 2)
    assert [one[:3] for one in watcher.seen] == [("", "GET", 200), ("/token", "GET", 429)]


def test_a_watcher_that_fails_costs_nobody_an_answer(lane, caplog):
    def fail(*said):
        raise LookupError("no disk for figures")

    with serving(lane(front(seen=fail))) as url, Wire(url) as wire:
        for _ in range(2):
            assert wire.say(request()).hear().status == 200
    assert [record.name for record in caplog.records] == ["tokenward.server"] * 2


# How many connections of one address


def test_one_address_has_so_many_connections_and_no_more():
    few = Limits(most_per_address=2)
    with serving(front(), limits=few) as url, ExitStack() as stack:
        inside = [stack.enter_context(Wire(url)) for _ in range(2)]
        assert [wire.say(request()).hear().status for wire in inside] == [200] * 2
        heard = ask(url)
        assert (heard.status, heard["retry-after"], heard["connection"]) == (503, "1", "close")
        assert [wire.say(request()).hear().status for wire in inside] == [200] * 2
        inside[0].socket.close()
        assert eventually(lambda: ask(url).status == 200)


def test_another_address_is_not_in_the_way_of_it():
    few = replace(Limits(), most_per_address=1)
    with serving(front(), limits=few, host="::") as url, Wire(url) as six:
        port = int(url.rpartition(":")[2])
        assert six.say(request()).hear().status == 200
        with Wire(f"http://127.0.0.1:{port}") as four:
            assert four.say(request()).hear().status == 200
            with Wire(f"http://127.0.0.1:{port}") as another:
                assert another.hear().status == 503


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002::/64"),
        ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_network_is_one_household(address, whose):
    assert household(address) == whose
