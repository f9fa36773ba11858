"""HTTP itself: what is legal works, what two parsers could read differently is refused."""

import itertools
import time
from contextlib import ExitStack

import pytest

from tests.attacks.lab import FORM, MORE, NIGHTLY, REPORTS, Answer, Lab, basic
from tests.world import FILE

HEAD = f"Content-Type: {FORM}\r\nAuthorization: {basic(*NIGHTLY)}\r\nConnection: close\r\n"
POST = f"POST /token HTTP/1.1\r\nHost: a\r\n{HEAD}"
LENGTH = len(REPORTS)


@pytest.fixture(scope="module", params=["fast", "asgi"])
def lab(request, tmp_path_factory):
    """One server for each lane."""
    config = f'lane = "{request.param}"\n{FILE}{MORE}'
    with ExitStack() as stack:
        lab = Lab(tmp_path_factory.mktemp("framing"), stack, config=config)
        lab.server.start()
        yield lab
        assert lab.server.end(15) == 0
        assert "raceback" not in lab.server.stderr


@pytest.fixture(scope="module")
def server(lab):
    return lab.server


def chunks(*parts):
    return "".join(f"{len(it):x}\r\n{it}\r\n" for it in parts) + "0\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        f"POST /token HTTP/1.0\r\n{HEAD}Content-Length: {LENGTH}\r\n\r\n{REPORTS}",
        f"\r\n{POST}Content-Length: {LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}Content-Length:{LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}Content-Length: 000{LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}Content-Length: {LENGTH} \r\n\r\n{REPORTS}",
        f"{POST}Content-Length: {LENGTH}\t\r\n\r\n{REPORTS}",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n{chunks(REPORTS[:7], REPORTS[7:])}",
        f"{POST}Transfer-Encoding: Chunked\r\n\r\n{chunks(REPORTS)}",
        f"{POST}Transfer-Encoding: chunked \r\n\r\n{chunks(REPORTS)}",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n{LENGTH:X};a=b\r\n{REPORTS}\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n{REPORTS}\r\n0\r\nX: y\r\n\r\n",
        f"{POST}Expect: 100-continue\r\nContent-Length: {LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}Upgrade: h2c\r\nContent-Length: {LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}X_Real_IP: 1\r\nForwarded: by=a\r\nContent-Length: {LENGTH}\r\n\r\n{REPORTS}",
        f"{POST}Cookie: {'a' * 20_000}\r\nContent-Length: {LENGTH}\r\n\r\n{REPORTS}",
        POST.replace("/token", "http://a/token") + f"Content-Length: {LENGTH}\r\n\r\n{REPORTS}",
    ],
    ids=[
        *("HTTP/1.0", "an empty line before", "no blank", "zeros before", "blank after length"),
        *("tab after length", "two chunks", "Chunked", "blank after chunked", "chunk extension"),
        *("trailer", "expect", "upgrade", "proxy headers", "long cookie"),
        "absolute form (RFC 9112 §3.2.2: a server MUST accept it)",
    ],
)
def test_a_legal_way_to_send_a_request_works(server, request_):
    raw = server.raw(request_).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert Answer(raw).status == 200, raw


@pytest.mark.parametrize("blank", [" ", "\t", " \t "])
def test_blanks_after_a_bearer_token_are_nothing(lab, server, blank):
    """RFC 9110 §5.5: a field value does not include trailing whitespace."""
    header = ("Authorization", f"Bearer {lab.user_token()}{blank}")
    assert server.ask("GET", "/getToken", header).status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (f"{POST}Content-Length: {LENGTH}\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (f"{POST}Content-Length: {LENGTH}\r\nContent-Length: {LENGTH}\r\n\r\n{REPORTS}", 400),
        (f"{POST}Content-Length: {LENGTH}, {LENGTH}\r\n\r\n{REPORTS}", 400),
        (f"{POST}Content-Length: -1\r\n\r\n", 400),
        (f"{POST}Content-Length: +{LENGTH}\r\n\r\n{REPORTS}", 400),
        (f"{POST}Content-Length: 0x20\r\n\r\n", 400),
        (f"{POST}Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n{chunks(REPORTS)}", 400),
        (f"{POST}Transfer-Encoding: identity\r\n\r\n{REPORTS}", 400),
        (f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (f"{POST}Transfer-Encoding: xchunked\r\n\r\n{chunks(REPORTS)}", 400),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b/c@d\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\nHost: a\n\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET /health z HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /healthz#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT http://a/token HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and so on\r\n\r\n", 400),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (f"GET /healthz?{'a' * 9_000} HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (f"GET /healthz?{'a' * 200_000} HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (f"GET /healthz HTTP/1.1\r\nHost: a\r\nX: {'a' * 40_000}\r\n\r\n", 431),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n" + "X: a\r\n" * 5_000 + "\r\n", 431),
        (f"{POST}Content-Length: 20000000\r\n\r\n" + "a" * 100_000, 413),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n" + f"1000\r\n{'a' * 4096}\r\n" * 30, 413),
    ],
    ids=map(str, itertools.count()),
)
def test_a_request_that_is_ambiguous_or_too_much_is_refused(server, request_, status):
    answer = Answer(server.raw(request_))
    assert answer.status == status, answer
    assert answer["connection"] == "close"


def test_a_body_nobody_read_is_never_the_next_request(server):
    smuggled = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    length = f"Content-Length: {len(smuggled)}"
    for path, method in (("/nowhere", "POST"), ("/healthz", "POST"), ("/healthz", "GET")):
        raw = server.raw(
            f"{method} {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{smuggled}", timeout=8
        )
        assert raw.count(b"HTTP/1.1 ") == 1


def test_pipelined_requests_are_answered_in_their_order(server):
    get = "GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n"
    paths = ["/healthz", "/nowhere", "/.well-known/jwks.json", "/nowhere"]
    closing = get.format("/livez", "Connection: close\r\n")
    raw = server.raw("".join(get.format(path, "") for path in paths) + closing)
    said = [int(it[:3]) for it in raw.split(b"HTTP/1.1 ")[1:]]
    assert said == [200, 404, 200, 404, 200]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/token", "OPTIONS, POST"), ("/getToken", "GET, HEAD, OPTIONS"), ("/healthz", "GET, HEAD")],
)
def test_other_methods_hear_which_there_are(server, path, allowed):
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        answer = server.ask(method, path)
        assert (answer.status, answer["allow"].startswith(allowed)) == (405, True)


def test_head_has_the_head_of_get(lab, server):
    header = ("Authorization", f"Bearer {lab.user_token()}")
    for path in ("/healthz", "/.well-known/jwks.json", "/getToken"):
        get, head = server.ask("GET", path, header), server.ask("HEAD", path, header)
        assert (head.status, head.body) == (get.status, b"")
        assert head["content-length"] == get["content-length"]


def test_two_hundred_who_begin_and_do_not_go_on_hold_nobody_up(lab, server):
    starts = [
        b"",
        b"GET / HT",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ",
        POST.encode() + b"Content-Length: 50\r\n\r\ngr",
    ]
    token, before = lab.user_token(), server.descriptors
    with ExitStack() as stack:
        for number in range(200):
            stack.enter_context(server.connect()).sendall(starts[number % 4])
        began = time.monotonic()
        for _ in range(10):
            assert server.get_token(token).status == 200
        assert time.monotonic() - began < 3
    until = time.monotonic() + 5
    while server.descriptors > before + 5:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_those_who_hang_up_in_the_middle_leave_nothing_behind(lab, server):
    before = server.descriptors
    for number in range(200):
        with server.connect() as it:
            it.sendall(f"GET /getToken HTTP/1.1\r\nHost: a\r\nX: {number}\r\n\r\n".encode())
    assert server.get_token(lab.user_token()).status == 200
    until = time.monotonic() + 5
    while server.descriptors > before + 5:
        assert time.monotonic() < until
        time.sleep(0.02)
