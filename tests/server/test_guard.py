"""What hostile, clumsy and slow clients do to a connection, over real sockets."""

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.server.toys import LANES, Echo, Slow, Wire, ask, eventually, front, request
from tokenward.server.asgi import Front
from tokenward.server.bounds import Limits
from tokenward.server.serve import serving

FAST = Limits(head=0.3, body=0.3, idle=0.3, write=0.3, leave=0.2)
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def echo():
    return Echo()


@pytest.fixture(scope="module", params=LANES.values(), ids=LANES)
def lane(request):
    return request.param


@pytest.fixture(scope="module")
def url(echo, lane):
    with serving(lane(front(routes={"/token": echo, "/slow": Slow()}))) as url:
        yield url


@pytest.fixture
def untouched(echo, caplog):
    """Asserts afterwards that the application never heard of it, nor the log."""
    echo.seen.clear()
    yield
    assert echo.seen == []
    assert caplog.records == []


@pytest.fixture(scope="module")
def hurried(lane):
    with serving(lane(front(routes={"/token": Echo(), "/slow": Slow()})), limits=FAST) as url:
        yield url


def post(*fields, body=b"0\r\n\r\n", version="1.1", start=b""):
    return start + request("POST", "/token", *fields, version=version) + body


# One message, one reading (RFC 9112 §6.3 and §11.2)

AMBIGUOUS = {
    "length and chunked": post("Content-Length: 5", CHUNKED),
    "chunked and length": post(CHUNKED, "Content-Length: 5"),
    "the same length twice": post("Content-Length: 2", "Content-Length: 2", body=b"ab"),
    "two lengths": post("Content-Length: 2", "Content-Length: 3", body=b"abc"),
    "a list of lengths": post("Content-Length: 2, 2", body=b"ab"),
    "a signed length": post("Content-Length: +2", body=b"ab"),
    "a negative length": post("Content-Length: -2", body=b"ab"),
    "a hexadecimal length": post("Content-Length: 0x2", body=b"ab"),
    "a length of two words": post("Content-Length: 2 5", body=b"ab"),
    "no length at all": post("Content-Length: ", body=b"ab"),
    "a length beyond all numbers": post("Content-Length: " + "9" * 40),
    "a space before the colon": post("Content-Length : 2", body=b"ab"),
    "chunked under another": post("Transfer-Encoding: gzip, chunked"),
    "chunked over another": post("Transfer-Encoding: chunked, gzip"),
    "chunked twice": post("Transfer-Encoding: chunked, chunked"),
    "chunked in two fields": post(CHUNKED, CHUNKED),
    "identity": post("Transfer-Encoding: identity"),
    "identity, then chunked": post("Transfer-Encoding: identity", CHUNKED),
    "chunked, then identity": post(CHUNKED, "Transfer-Encoding: identity"),
    "almost chunked": post("Transfer-Encoding: xchunked"),
    "chunked in quotes": post('Transfer-Encoding: "chunked"'),
    "chunked after a tab that is none": post("Transfer-Encoding: \x0bchunked"),
    "chunked folded": post("Transfer-Encoding:\r\n chunked"),
    "chunked with a parameter": post("Transfer-Encoding: chunked;x=y"),
    "no coding at all": post("Transfer-Encoding: "),
    "chunked before a space": post("Transfer-Encoding : chunked"),
    "chunked from the last century": post(CHUNKED, version="1.0"),
    "a folded field": post("X: a\r\n b", body=b""),
    "a folded first field": b"GET /token HTTP/1.1\r\n Host: a\r\n\r\n",
    "a bare line feed in a field": post("X: a\nContent-Length: 3", body=b"abc"),
    "a bare carriage return in a field": post("X: a\rContent-Length: 3", body=b"abc"),
    "line feeds only": b"GET /token HTTP/1.1\nHost: a\n\n",
    "a line feed at the end": b"GET /token HTTP/1.1\r\nHost: a\r\n\n",
    "no host": b"GET /token HTTP/1.1\r\n\r\n",
    "two hosts": post("Host: evil.example", body=b""),
    "the same host twice": post("Host: tokens.example", body=b""),
    "two hosts from the last century": post("Host: evil.example", body=b"", version="1.0"),
    "NUL in a value": post("X: a\0b", body=b""),
    "a control character in a value": post("X: a\x01b", body=b""),
    "DEL in a value": post("X: a\x7fb", body=b""),
    "NUL in a name": post("X\0: a", body=b""),
    "no ASCII in a name": post("X\xe9: a", body=b""),
    "a field without a name": post(": x", body=b""),
    "a field without a colon": post("XYZ", body=b""),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_read_in_two_ways_is_refused(url, data):
    with Wire(url) as wire:
        heard = wire.say(data).hear()
        assert (heard.status, heard.json["error"]) == (400, "invalid_request")
        assert heard["connection"] == "close"
        assert heard["cache-control"] == "no-store"
        assert len(heard.all("date")) == 1
        assert wire.closed()


BAD_CHUNKS = {
    "line feeds only": b"1\nX\n0\n\n",
    "a negative size": b"-1\r\nX\r\n0\r\n\r\n",
    "0x": b"0x1\r\nX\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\nXXXXXXXXXXXXXXXX\r\n0\r\n\r\n",
    "a size beyond all numbers": b"fffffffffffffffff\r\nX",
    "a space after the size": b"1 \r\nX\r\n0\r\n\r\n",
    "a space before the size": b" 1\r\nX\r\n0\r\n\r\n",
    "no line end after the data": b"1\r\nX0\r\n\r\n",
    "a line feed in an extension": b"1;a\nb\r\nX\r\n0\r\n\r\n",
    "a bare carriage return": b"1\rZ\nX\r\n0\r\n\r\n",
    "no size": b"\r\nX\r\n0\r\n\r\n",
    "a length in the trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "a coding in the trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_chunks_that_could_be_read_in_two_ways_are_refused(url, chunks, apart):
    with Wire(url) as wire:
        wire.say(post(CHUNKED, body=b""))
        if apart:
            wire.say(b"2\r\nok\r\n")
        assert wire.say(chunks).hear().status == 400
        assert wire.closed()


TARGETS = {
    "absolute, of a user": b"http://ann@tokens.example/token",
    "absolute, without a path": b"http://tokens.example",
    "absolute, of another scheme": b"ftp://tokens.example/token",
    "an authority": b"tokens.example:443",
    "an asterisk": b"*",
    "a fragment": b"/token#x",
    "relative": b"token",
    "a query only": b"?a=b",
    "a tab": b"/to\tken",
    "a space": b"/token x",
    "NUL": b"/token\0",
    "a control character": b"/token\x01",
    "DEL": b"/token\x7f",
    "no ASCII": b"/token\xc3\xa9",
    "no ASCII in the query": b"/token?\xe9",
    "nothing": b"",
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"CONNECT"])
def test_a_target_is_a_path_and_a_query(url, method, target):
    with Wire(url) as wire:
        wire.say(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.hear().status in (400, 505)
        assert wire.closed()


@pytest.mark.parametrize("host", [b"tokens.example", b"EVIL.example:80", b"[::1]:8080"])
def test_in_an_absolute_target_the_authority_counts_for_nothing(url, echo, host):
    echo.seen.clear()
    with Wire(url) as wire:
        wire.say(b"GET http://" + host + b"/token?a=b HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert wire.hear().status == 200
    assert [(it.path, it.query) for it in echo.seen] == [("/token", b"a=b")]


@pytest.mark.parametrize("host", [b"a b", b"a/c", b"a@b", b"[::1", b"a:b", b"a,b/"])
def test_a_host_that_is_none_is_refused(url, host):
    with Wire(url) as wire:
        wire.say(b"GET /token HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert wire.hear().status == 400


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t "])
def test_blanks_around_a_value_are_not_part_of_it(url, echo, blanks):
    echo.seen.clear()
    with Wire(url) as wire:
        wire.say(
            b"POST /token HTTP/1.1\r\nHost: a\r\nX-It:"
            + blanks
            + b"value"
            + blanks
            + b"\r\nContent-Length: 2"
            + blanks
            + b"\r\n\r\nhi"
        )
        assert wire.hear().status == 200
    assert (b"x-it", b"value") in list(echo.seen[0].headers)
    assert echo.seen[0].body == b"hi"


JUNK = {
    "nothing known": b"HELLO\r\n\r\n",
    "no version": b"GET /token\r\n\r\n",
    "an old version": b"GET /token HTTP/0.9\r\nHost: a\r\n\r\n",
    "a new version": b"GET /token HTTP/2.0\r\nHost: a\r\n\r\n",
    "a minor version": b"GET /token HTTP/1.2\r\nHost: a\r\n\r\n",
    "a large version": b"GET /token HTTP/9.9\r\nHost: a\r\n\r\n",
    "half a version": b"GET /token HTTP/1\r\nHost: a\r\n\r\n",
    "a version in lower case": b"GET /token http/1.1\r\nHost: a\r\n\r\n",
    "more after the version": b"GET /token HTTP/1.1 x\r\nHost: a\r\n\r\n",
    "a method in lower case": b"get /token HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method nobody knows": b"STEAL /token HTTP/1.1\r\nHost: a\r\n\r\n",
    "another protocol": b"OPTIONS /token RTSP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "NUL": bytes(100),
    "a space first": b" GET /token HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("data", JUNK.values(), ids=JUNK.keys())
def test_junk_is_refused(url, data):
    with Wire(url) as wire:
        assert wire.say(data).hear().status in (400, 505)
        assert wire.closed()


def test_the_last_century_is_served_once(url):
    with Wire(url) as wire:
        heard = wire.say(b"GET /token HTTP/1.0\r\n\r\n").hear()
        assert (heard.status, heard["connection"]) == (200, "close")
        assert wire.closed()


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0, h2c"])
def test_an_offer_of_another_protocol_is_ignored_and_the_body_is_not(url, offer):
    fields = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMA", f"Upgrade: {offer}")
    with Wire(url) as wire:
        wire.say(request("POST", "/token", *fields, body=b"grant_type=x") + request())
        assert wire.hear().json["body"] == "grant_type=x"
        assert wire.hear().json["method"] == "GET"
        wire.say(request("POST", "/token", *fields, CHUNKED))
        for piece in (b"2\r\na", b"b\r\n0\r\n", b"\r\n"):
            wire.say(piece)
        assert wire.hear().json["body"] == "ab"


# Sizes


def head(*fields):
    return request("GET", "/token", *fields)


SIZES = {
    "a path": (request("GET", "/" + "a" * 200_000), 414),
    "a path a little too long": (request("GET", "/token?" + "a" * 8186), 414),
    "a field": (head("Cookie: " + "a" * 200_000), 431),
    "a field a little too long": (head("Cookie: " + "a" * 32_745), 431),
    "many fields": (head(*["X: y" for _ in range(5000)]), 431),
    "a few fields too many": (head(*["X: y" for _ in range(100)]), 431),
    "a field that never ends": (head("X: " + "a" * 200_000)[:-4], 431),
    "a name that never ends": (head("X" * 200_000)[:-4], 431),
    "a path that never ends": (b"GET /" + b"a" * 200_000, 414),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("data", "status"), SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("pieces", [1, 37])
def test_a_head_has_its_limits_and_the_refusal_is_heard(url, data, status, pieces):
    with Wire(url) as wire:
        length = -(-len(data) // pieces)
        for start in range(0, len(data), length):
            wire.say(data[start : start + length])
        assert wire.hear().status == status
        assert wire.closed()


def test_a_head_may_be_as_large_as_that(url):
    with Wire(url) as wire:
        longest = "/token?" + "a" * 8185
        assert wire.say(request("GET", longest)).hear().status == 200
        most = [f"X-{n}: y" for n in range(99)]
        assert wire.say(head(*most)).hear().status == 200
        assert wire.say(head("Cookie: " + "a" * 32_744)).hear().status == 200
        assert wire.say(head("Cookie: " + "a" * 32_744)).hear().status == 200


def endless():
    while True:
        yield b"400\r\n" + b"x" * 1024 + b"\r\n"


def endless_trailer():
    yield b"0\r\n"
    while True:
        yield b"X: " + b"y" * 1024 + b"\r\n"


def endless_extension():
    yield b"1;"
    while True:
        yield b"x" * 1024


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("drip", [endless, endless_trailer, endless_extension])
def test_a_body_without_end_ends(url, drip):
    with Wire(url) as wire:
        wire.say(post(CHUNKED, body=b""))
        taken = wire.push(drip(), until=64 * 1024 * 1024)
        assert taken < 64 * 1024 * 1024


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("fields", [["Content-Length: 20000000"], [CHUNKED]])
def test_twenty_megabytes_are_refused_and_the_refusal_is_heard(url, fields):
    with Wire(url) as wire:
        wire.say(post(*fields, body=b"1312d00\r\n" if fields == [CHUNKED] else b""))
        wire.say(b"x" * 20_000_000)
        heard = wire.hear()
        assert (heard.status, heard["connection"]) == (413, "close")
        assert wire.closed()


# Time


def test_nobody_holds_a_connection_by_saying_nothing(hurried):
    with Wire(hurried) as wire:
        assert wire.closed()


@pytest.mark.parametrize("data", [b"G", head()[:-2], head("X: y")[:-1], head("X: y" * 99)[:-9]])
def test_half_a_head_is_refused_in_time(hurried, data):
    with Wire(hurried) as wire:
        heard = wire.say(data).hear()
        assert (heard.status, heard["connection"]) == (408, "close")
        assert wire.closed()


@pytest.mark.parametrize(
    "data", [head()[:-2], post("Content-Length: 999", body=b""), post(CHUNKED, body=b"fff\r\n")]
)
def test_a_drip_does_not_stop_the_clock(hurried, data):
    with Wire(hurried) as wire:
        wire.say(data)
        wire.socket.settimeout(0.02)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                heard = wire.hear()
            except TimeoutError:
                wire.say(b"x")
            else:
                break
        assert heard.status == 408
        assert time.monotonic() < end


def slowly(data):
    while True:
        time.sleep(0.02)
        yield data


def test_empty_lines_do_not_stop_the_clock_either(hurried):
    with Wire(hurried) as wire:
        assert wire.say(request()).hear().status == 200
        started = time.monotonic()
        wire.push(slowly(b"\r\n"), until=1000)
        assert 0.2 < time.monotonic() - started < 5


def test_a_connection_is_kept_for_a_while(lane):
    limits = replace(FAST, idle=1)
    with serving(lane(front(routes={"/token": Echo()})), limits=limits) as url, Wire(url) as wire:
        for _ in range(4):
            assert wire.say(request()).hear().status == 200
            time.sleep(0.3)
        assert wire.closed()


def test_the_clock_is_not_for_the_application(hurried):
    with Wire(hurried) as wire:
        assert wire.say(request("GET", "/slow?0.9")).hear().status == 200
        assert wire.say(request("GET", "/slow?0.9")).hear().status == 200


def test_a_late_body_is_never_seen_by_the_endpoint(hurried):
    echo = Echo()
    with serving(front(routes={"/token": echo}), limits=FAST) as url, Wire(url) as wire:
        wire.say(request("POST", "/token", "Content-Length: 9") + b"half")
        assert wire.hear().status == 408
    assert echo.seen == []


def test_whoever_does_not_read_is_cut_off():
    class Long(Echo):
        async def answer(self, received):
            answer = await super().answer(received)
            return answer._replace(body=b"x" * 50_000_000)

    long = Long()
    with serving(front(routes={"/token": long}), limits=FAST) as url, Wire(url) as wire:
        wire.say(request())
        assert eventually(lambda: long.seen)
        time.sleep(1.0)
        received = 0
        while data := wire_or_nothing(wire):
            received += len(data)
        assert received < 50_000_000


class Long(Echo):
    async def answer(self, received):
        answer = await super().answer(received)
        return answer._replace(body=b"x" * 20_000_000)


def test_whoever_reads_slowly_gets_it_all():
    with (
        serving(front(routes={"/token": Long()}), limits=replace(FAST, write=2)) as url,
        Wire(url) as wire,
    ):
        for _ in range(2):
            wire.say(request())
            time.sleep(0.5)
            assert len(wire.hear().body) == 20_000_000


def test_who_has_read_slowly_has_the_usual_time_to_ask_again(lane):
    limits = replace(FAST, idle=0.6, write=0.6)
    app = lane(front(routes={"/token": Long()}))
    with serving(app, limits=limits) as url, Wire(url) as wire:
        wire.say(request())
        time.sleep(1.0)  # later than that, it would have been cut off
        assert len(wire.hear().body) == 20_000_000
        time.sleep(0.35)
        assert len(wire.say(request()).hear().body) == 20_000_000


def wire_or_nothing(wire):
    try:
        return wire.socket.recv(1 << 20)
    except ConnectionError:
        return b""


def test_two_hundred_slow_clients_are_in_nobodys_way(url):
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(url)) for _ in range(200)]
        for number, wire in enumerate(slow):
            wire.say(
                [b"GET /token HTTP/1.1\r\nX: ", post("Content-Length: 9", body=b"x")][number % 2]
            )
        started = time.monotonic()
        for _ in range(20):
            assert ask(url).status == 200
        assert time.monotonic() - started < 3


def test_five_hundred_at_once_are_all_answered(url):
    with ExitStack() as stack:
        crowd = [stack.enter_context(Wire(url)) for _ in range(500)]
        for wire in crowd:
            wire.say(post("Content-Length: 2", body=b"ab"))
        assert [wire.hear().status for wire in crowd] == [200] * 500


def test_fifty_who_hang_up_are_in_nobodys_way(url, caplog):
    for number in range(50):
        with Wire(url) as wire:
            wire.say(request("GET", "/slow?0.05")[: None if number % 2 else 20])
    assert ask(url).status == 200
    time.sleep(0.1)
    assert caplog.records == []


# How many


def test_too_many_are_told_to_come_again_and_the_rest_are_not_disturbed():
    few = replace(FAST, head=9, idle=9, most_connections=3)
    with serving(front(), limits=few) as url, ExitStack() as stack:
        inside = [stack.enter_context(Wire(url)) for _ in range(3)]
        assert [wire.say(request()).hear().status for wire in inside] == [200] * 3
        heard = ask(url)
        assert (heard.status, heard.json["error"]) == (503, "temporarily_unavailable")
        assert (heard["retry-after"], heard["connection"]) == ("1", "close")
        assert [wire.say(request()).hear().status for wire in inside] == [200] * 3
        inside[0].socket.close()
        assert eventually(lambda: ask(url).status == 200)


def test_those_beyond_too_many_are_not_even_told():
    few = replace(FAST, head=9, leave=9, most_connections=1, most_refused=1)
    with serving(front(), limits=few, drain=0.1) as url, Wire(url) as wire, Wire(url) as second:
        assert wire.say(request()).hear().status == 200
        assert second.hear().status == 503
        with Wire(url) as third:
            assert third.closed()


# More than one request


def test_requests_may_come_before_the_answers_and_these_keep_their_order(url):
    with Wire(url) as wire:
        wire.say(b"".join(request("POST", f"/token?{n}", body=b"x" * n) for n in range(10)))
        assert [wire.hear().json["query"] for _ in range(10)] == [str(n) for n in range(10)]
        assert wire.say(request()).hear().status == 200


def test_nobody_queues_a_thousand(url, echo):
    echo.seen.clear()
    with Wire(url) as wire:
        wire.say(request() * 1000)
        answers = 0
        while heard := wire.hear():
            assert heard.status == 200
            answers += 1
        assert 1 <= answers <= 33  # at once, and in line
    assert len(echo.seen) == answers


@pytest.mark.parametrize(
    "bad", [b"JUNK\r\n\r\n", post(CHUNKED, "Content-Length: 1"), b"G" * 90_000]
)
def test_a_bad_request_does_not_cost_an_earlier_one_its_answer(url, bad):
    with Wire(url) as wire:
        wire.say(request("GET", "/slow?0.1") + request("GET", "/token?2") + bad + request())
        assert wire.hear().json == {"slept": True}
        assert wire.hear().json["query"] == "2"
        assert wire.closed()


def test_a_bad_body_behind_a_request_ends_the_connection(url, echo, caplog):
    echo.seen.clear()
    with Wire(url) as wire:
        wire.say(request("GET", "/slow?0.1") + post(CHUNKED, body=b"junk\r\n"))
        assert wire.closed()
    assert ask(url, "GET", "/slow?0").status == 200
    assert echo.seen == caplog.records == []


def test_a_slow_second_head_does_not_cost_the_first_its_answer(hurried):
    with Wire(hurried) as wire:
        wire.say(request("GET", "/slow?0.8") + b"GET /to")
        assert wire.hear().json == {"slept": True}
        assert wire.hear().status == 408
        assert wire.closed()


def test_what_comes_after_the_last_request_is_ignored(url, echo):
    echo.seen.clear()
    with Wire(url) as wire:
        wire.say(request("GET", "/token?1", "Connection: close") + request("GET", "/token?2"))
        heard = wire.hear()
        assert (heard.json["query"], heard["connection"]) == ("1", "close")
        assert wire.closed()
    assert [received.query for received in echo.seen] == [b"1"]


def test_an_answer_before_the_end_of_the_body_keeps_the_connection_in_step():
    async def early(scope, receive, send):
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"early"})

    limits = replace(FAST, body=1.0)
    with serving(front(pages=early), limits=limits) as url, Wire(url) as wire:
        wire.say(request("POST", "/page", "Content-Length: 60") + b"GET /token HTTP/1.1\r\n")
        assert wire.hear().body == b"early"
        wire.say(b"x" * 39 + request("GET", "/token"))
        assert wire.hear().json["path"] == "/token"
        assert wire.closed()


def test_the_clock_runs_for_a_body_that_nobody_reads():
    async def early(scope, receive, send):
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"early"})

    with serving(front(pages=early), limits=FAST) as url, Wire(url) as wire:
        wire.say(request("POST", "/page", "Content-Length: 60"))
        assert wire.hear().body == b"early"
        assert wire.closed()


def test_nothing_a_client_does_is_logged_by_the_server_itself(url, caplog):
    caplog.set_level(logging.DEBUG, logger="uvicorn")
    for data in (b"JUNK\r\n\r\n", post("Upgrade: h2c", "Connection: Upgrade", body=b"")):
        with Wire(url) as wire:
            wire.say(data).hear()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_page_that_streams_is_not_cut_short():
    async def stream(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(5):
            await asyncio.sleep(0.15)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with serving(Front(routes={}, pages=stream), limits=FAST) as url, Wire(url) as wire:
        wire.say(request("GET", "/", "Connection: close"))
        assert not wire.closed()
        assert wire.buffer.endswith(b"1\r\nx\r\n" * 5 + b"0\r\n\r\n")
