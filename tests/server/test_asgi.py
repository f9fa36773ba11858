"""Real requests over real sockets, carried by our server and by plain uvicorn alike."""

import contextlib
import re
import threading
import time

import pytest
from uvicorn.config import Config
from uvicorn.server import Server

from tests.server.toys import HOME, SECRET, Echo, Wire, ask, front, request
from tokenward.server.asgi import Front
from tokenward.server.bounds import Limits
from tokenward.server.serve import serving

STANDING = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


@contextlib.contextmanager
def uvicorn(app):
    """Any other server."""
    ready = threading.Event()

    class Announcing(Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            ready.set()

    server = Announcing(
        Config(
            app, port=0, http="httptools", log_config=None, access_log=False, server_header=False
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(10)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module", params=[serving, uvicorn], ids=["ours", "uvicorn"])
def carried(request):
    return request.param


@pytest.fixture(scope="module")
def app():
    return front(deadline=0.3)


@pytest.fixture(scope="module")
def url(app, carried):
    with carried(app) as url:
        yield url


def test_a_request_arrives_whole_and_its_answer_too(url):
    fields = ("Content-Type: application/x-www-form-urlencoded", "Authorization: Basic eDp5")
    heard = ask(url, "POST", "/token?a=b%20c", *fields, body=b"grant_type=x")
    assert heard.status == 200
    assert heard.json == {
        "method": "POST",
        "path": "/token",
        "query": "a=b%20c",
        "body": "grant_type=x",
        "headers": ["authorization", "content-length", "content-type", "host"],
        "authorization": "Basic eDp5",
        "address": "127.0.0.1",
        "id": heard["x-request-id"],
    }


def test_every_answer_says_how_to_treat_it(url):
    for method, path in (
        ("GET", "/token"),
        ("POST", "/denied"),
        ("GET", "/broken"),
        ("GET", "/nowhere"),
        ("PUT", "/token"),
        ("OPTIONS", "/token"),
    ):
        heard = ask(url, method, path)
        assert {name: heard[name] for name in STANDING} == STANDING, (method, path)
        assert heard.all("server") == heard.all("strict-transport-security") == []
        assert len(heard.all("date")) == 1


def test_an_endpoint_has_the_last_word_about_its_own_answer(url):
    assert ask(url, "GET", "/jwks")["cache-control"] == "public, max-age=300"
    page = ask(url, "POST", "/closed")
    assert page["content-security-policy"] == "default-src 'self'"
    assert page["cache-control"] == "no-store"


def test_a_server_behind_https_says_so(carried):
    with carried(front(https=True)) as url:
        assert ask(url)["strict-transport-security"] == "max-age=31536000"


def test_every_request_gets_an_id_of_ours_and_none_of_theirs(url):
    heard = [ask(url, "GET", "/token", "X-Request-Id: mine")["x-request-id"] for _ in range(20)]
    assert len(set(heard)) == 20
    assert all(re.fullmatch("[0-9a-f]{16}", id) for id in heard)


@pytest.mark.parametrize(
    "path",
    [
        "//token", "/token/", "/%74oken", "/token;x", "/token;x=/jwks", "/../token", "/./token",
        "/x/../token", "/token/..", "/token/.", "/token%2F", "/%2Ftoken", "/token%00", "/token%20",
        "/token.json", "/TOKEN", "/Token", "/\\token", "/token\\", "/..%2ftoken", "/%2e%2e/token",
        "/token%3Fa=b", "/%C0%AFtoken", "/token%0d%0aX:y", "/", "/.", "/..", "/.git/config",
        "/.env", "/admin", "/docs", "/openapi.json", "/server-status", "/etc/passwd", "/token/x",
    ],
)  # fmt: skip
def test_a_path_is_that_path_or_nothing(url, path):
    heard = ask(url, "GET", path)
    assert heard.status == 404
    assert heard.json == {
        "error": "not_found",
        "error_description": "There is nothing at this path",
    }
    assert heard.all("access-control-allow-origin") == []


@pytest.mark.parametrize("path", ["/token%20", "/a%25b", "/tok%65n", "/t\u00f6ken", "token", "//"])
def test_a_route_that_could_be_read_as_another_is_refused_at_the_start(path):
    with pytest.raises(ValueError, match="another path"):
        Front(routes={path: Echo()})


def test_a_route_without_a_known_cors_policy_is_refused_at_the_start():
    class Careless(Echo):
        cors = "everybody"

    with pytest.raises(ValueError, match="everybody"):
        Front(routes={"/token": Careless()})


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/token", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/token", "GET, HEAD, OPTIONS, POST"),
        ("TRACE", "/token", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/jwks", "GET, HEAD, OPTIONS"),
        ("GET", "/closed", "OPTIONS, POST"),
        ("HEAD", "/closed", "OPTIONS, POST"),
    ],
)
def test_other_methods_are_told_which_there_are(url, method, path, allow):
    heard = ask(url, method, path)
    assert (heard.status, heard["allow"]) == (405, allow)
    if method != "HEAD":
        assert heard.json["error"] == "method_not_allowed"


def test_head_is_get_without_the_body(url):
    heard = ask(url, "HEAD", "/jwks")
    assert (heard.status, heard["content-length"], heard.body) == (200, "12", b"")
    with Wire(url) as wire:
        wire.say(request("HEAD", "/jwks") + request("HEAD", "/nowhere") + request("GET", "/jwks"))
        assert wire.hear(bodiless=True).status == 200
        assert wire.hear(bodiless=True).status == 404
        assert wire.hear().body == b'{"keys": []}'


def test_an_endpoint_sees_head_as_get(carried):
    echo = Echo()
    with carried(Front(routes={"/token": echo})) as url:
        ask(url, "HEAD", "/token")
    assert [received.method for received in echo.seen] == ["GET"]


def test_not_modified_has_neither_length_nor_body(url):
    heard = ask(url, "GET", "/jwks", 'If-None-Match: "1"')
    assert (heard.status, heard.all("content-length"), heard["etag"]) == (304, [], '"1"')


# Errors


def test_a_refusal_is_json_and_keeps_the_detail_to_itself(url):
    heard = ask(url, "POST", "/refused")
    assert (heard.status, heard["content-type"]) == (401, "application/json")
    assert heard["www-authenticate"] == 'Basic realm="tokenward"'
    assert heard.json["error"] == "invalid_client"
    assert SECRET not in repr(heard)


def test_an_error_speaks_ascii_whatever_it_was_told(url):
    heard = ask(url, "POST", "/denied")
    assert heard.status == 400
    assert heard.body.isascii()


def test_an_outage_says_when_to_try_again(url):
    heard = ask(url, "POST", "/later")
    assert (heard.status, heard["retry-after"]) == (503, "7")


def test_our_own_mistake_says_only_its_id_and_is_logged_under_it(url, caplog):
    heard = ask(url, "GET", "/broken", f"Origin: {HOME}")
    assert heard.status == 500
    assert heard.json == {"error": "server_error", "request_id": heard["x-request-id"]}
    assert heard["access-control-allow-origin"] == HOME
    (record,) = [one for one in caplog.records if one.name == "tokenward.server"]
    assert record.request_id == heard["x-request-id"]
    assert SECRET in str(record.exc_info[1])


# CORS


@pytest.mark.parametrize(
    ("path", "origin", "allowed"),
    [
        ("/jwks", None, "*"),
        ("/jwks", HOME, "*"),
        ("/jwks", "https://evil.example", "*"),
        ("/token", None, None),
        ("/token", HOME, HOME),
        ("/token", "https://evil.example", None),
        ("/token", "null", None),
        ("/token", "*", None),
        ("/token", "", None),
        ("/token", HOME + "/", None),
        ("/token", HOME + ":443", None),
        ("/token", HOME.upper(), None),
        ("/token", "http://app.example", None),
        ("/token", HOME + ".evil.example", None),
        ("/token", f"{HOME} https://evil.example", None),
        ("/closed", HOME, None),
        ("/closed", "null", None),
    ],
)
@pytest.mark.parametrize("preflight", [False, True])
def test_only_whom_we_know_may_read_our_answers(url, path, origin, allowed, preflight):
    fields = [] if origin is None else [f"Origin: {origin}"]
    if preflight:
        fields.append("Access-Control-Request-Method: POST")
        heard = ask(url, "OPTIONS", path, *fields)
        assert (heard.status, heard.body) == (204, b"")
        offered = heard.all("access-control-allow-headers")
        assert offered == ([] if path == "/closed" else ["Authorization, Content-Type"])
        assert heard["allow"]
    else:
        heard = ask(url, "POST" if path == "/closed" else "GET", path, *fields)
        assert heard.status == 200
    assert heard.all("access-control-allow-origin") == ([allowed] if allowed else [])
    assert heard.all("vary") == (["Origin"] if path == "/token" else [])
    assert heard.all("access-control-allow-credentials") == []


def test_a_preflight_names_the_methods_there_are(url):
    heard = ask(url, "OPTIONS", "/token", f"Origin: {HOME}")
    assert heard["access-control-allow-methods"] == heard["allow"] == "GET, HEAD, OPTIONS, POST"


def test_nobody_can_register_every_origin_or_none(carried):
    with carried(front(origins=frozenset({"*", "null", ""}))) as url:
        for origin in ("*", "null", "", "https://evil.example"):
            assert ask(url, "GET", "/token", f"Origin: {origin}").all(
                "access-control-allow-origin"
            ) == []  # fmt: skip


def test_refusals_of_a_shared_route_can_be_read_too(url):
    for method, path in (("PUT", "/token"), ("POST", "/denied"), ("GET", "/broken")):
        heard = ask(url, method, path, f"Origin: {HOME}")
        assert heard["access-control-allow-origin"] == HOME
        assert "WWW-Authenticate" in heard["access-control-expose-headers"]


# Bodies


def chunked(*chunks):
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


def test_a_body_may_come_in_pieces(url):
    with Wire(url) as wire:
        wire.say(request("POST", "/token", "Transfer-Encoding: chunked"))
        for piece in (b"3\r\nab", b"c\r\n2;ext=1\r", b"\nde\r\n0\r\n\r", b"\n"):
            wire.say(piece)
        assert wire.hear().json["body"] == "abcde"
        wire.say(request("POST", "/token", body=b"again"))
        assert wire.hear().json["body"] == "again"


def test_a_trailer_adds_no_header(url):
    with Wire(url) as wire:
        wire.say(request("POST", "/token", "Transfer-Encoding: chunked") + b"2\r\nok\r\n")
        time.sleep(0.05)
        wire.say(b"0\r\nAuthorization: Bearer x\r\nX-Client-Cert: y\r\n\r\n")
        heard = wire.hear().json
        assert heard["body"] == "ok"
        assert heard["headers"] == ["host", "transfer-encoding"]
        assert heard["authorization"] == ""


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(url):
    longest = 64 * 1024
    assert len(ask(url, "POST", "/token", body=b"x" * longest).json["body"]) == longest
    assert ask(url, "POST", "/token", body=b"x" * (longest + 1)).status == 413


@pytest.mark.parametrize("origin", [[], [f"Origin: {HOME}"]])
def test_a_huge_body_is_refused_before_it_is_sent(url, origin):
    with Wire(url) as wire:
        wire.say(request("POST", "/token", "Content-Length: 20000000", *origin))
        heard = wire.hear()
        assert (heard.status, heard.json["error"]) == (413, "invalid_request")
        assert heard["connection"] == "close"
        assert heard.all("access-control-allow-origin") == [HOME for _ in origin]
        assert wire.closed()


def test_a_client_that_waits_for_leave_gets_it(url):
    with Wire(url) as wire:
        wire.say(request("POST", "/token", "Expect: 100-continue", "Content-Length: 5"))
        assert wire.hear().status == 100
        wire.say(b"hello")
        assert wire.hear().json["body"] == "hello"


@pytest.mark.parametrize(
    ("method", "path", "length", "status"),
    [("POST", "/nowhere", 5, 404), ("PUT", "/token", 5, 405), ("POST", "/token", 99999, 413)],
)
def test_a_client_that_waits_for_leave_hears_a_refusal_at_once(url, method, path, length, status):
    with Wire(url) as wire:
        wire.say(request(method, path, "Expect: 100-continue", f"Content-Length: {length}"))
        assert wire.hear().status == status
        assert wire.closed()


def test_half_a_body_is_waited_for_and_then_refused(carried):
    echo = Echo()
    options = {"limits": Limits(body=0.3)} if carried is serving else {}
    with (
        carried(Front(routes={"/token": echo}, deadline=0.3), **options) as url,
        Wire(url) as wire,
    ):
        wire.say(request("POST", "/token", "Content-Length: 10") + b"half")
        heard = wire.hear()
        assert (heard.status, heard.json["error"]) == (408, "invalid_request")
        assert heard["connection"] == "close"
        assert wire.closed()
    assert echo.seen == []


def test_whoever_goes_away_in_the_middle_is_no_error(url, app, caplog):
    for _ in range(20):
        with Wire(url) as wire:
            wire.say(request("POST", "/token", "Content-Length: 10") + b"half")
    assert ask(url).status == 200
    assert caplog.records == []


def test_an_unread_body_is_not_the_next_request(url):
    smuggled = request("GET", "/jwks")
    with Wire(url) as wire:
        wire.say(request("POST", "/nowhere", body=smuggled))
        assert wire.hear().status == 404
        assert wire.closed()


def test_a_get_may_have_a_body_that_nobody_wants(url):
    with Wire(url) as wire:
        wire.say(request("GET", "/jwks", body=b"why") + request("GET", "/token"))
        assert wire.hear().status == 200
        assert wire.hear().json["method"] == "GET"


# Pages


async def pages(scope, receive, send):
    if scope["path"] == "/bad":
        raise LookupError(SECRET)
    headers = [(b"Content-Type", b"text/html"), (b"Content-Length", b"2")]
    if scope["path"] == "/styled":
        headers.append((b"Content-Security-Policy", b"style-src 'self'"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/half":
        raise LookupError(SECRET)
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def paged(carried):
    with carried(front(pages=pages)) as url:
        yield url


def test_pages_answer_where_there_is_no_route_and_are_dressed_too(paged):
    for path in ("/", "/static/x.css", "/a/b/"):
        heard = ask(paged, "GET", path)
        assert (heard.status, heard.body) == (200, b"ok")
        assert {name: heard[name] for name in STANDING} == STANDING
        assert re.fullmatch("[0-9a-f]{16}", heard["x-request-id"])
    assert ask(paged, "GET", "/styled")["content-security-policy"] == "style-src 'self'"
    assert ask(paged, "GET", "/token").json["path"] == "/token"


@pytest.mark.parametrize(
    "path", ["//", "//x", "/static/../token", "/%2e%2e/x", "/a%2Fb", "/a/./b", "/;x", "/%74oken"]
)
def test_pages_never_see_a_path_that_could_be_another(paged, path):
    assert ask(paged, "GET", path).status == 404


def test_a_page_that_fails_says_as_little(paged, caplog):
    heard = ask(paged, "GET", "/bad")
    assert heard.status == 500
    assert heard.json == {"error": "server_error", "request_id": heard["x-request-id"]}
    assert {name: heard[name] for name in STANDING} == STANDING
    (record,) = [one for one in caplog.records if one.name == "tokenward.server"]
    assert record.request_id == heard["x-request-id"]


def test_half_a_page_is_broken_off(paged):
    with Wire(paged) as wire:
        wire.say(request("GET", "/half"))
        assert not wire.closed()
        assert SECRET.encode() not in wire.buffer
        assert b"\r\n\r\nok" not in wire.buffer


# Life


async def talk(app, scope, *messages):
    inbox, said = list(messages), []

    async def receive():
        return inbox.pop(0)

    async def send(message):
        said.append(message)

    try:
        await app(scope, receive, send)
    except LookupError:
        said.append("raised")
    return [one if one == "raised" else one["type"] for one in said]


UP, DOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


async def test_routes_are_read_once_the_start_is_through():
    opened, closed = {}, []

    async def start():
        opened["/token"] = Echo()

    async def stop():
        closed.append(True)

    app = Front(routes=opened, start=start, stop=stop)
    said = await talk(app, {"type": "lifespan"}, UP, DOWN)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert closed == [True]
    scope = {
        "type": "http", "method": "GET", "path": "/token", "query_string": b"", "headers": [],
    }  # fmt: skip
    assert await talk(app, scope) == ["http.response.start", "http.response.body"]


async def test_a_start_or_a_stop_that_fails_is_said_and_raised():
    async def fail():
        raise LookupError

    assert await talk(front(start=fail), {"type": "lifespan"}, UP) == [
        "lifespan.startup.failed",
        "raised",
    ]
    assert await talk(front(stop=fail), {"type": "lifespan"}, UP, DOWN) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
        "raised",
    ]


async def test_a_websocket_is_closed():
    assert await talk(front(), {"type": "websocket", "path": "/token"}) == ["websocket.close"]
