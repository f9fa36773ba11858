"""``/api/token``, ``/api/userauth``, ``/api/credentials`` and ``/api/foo``, on a real port."""

import json
import logging
import socket
import time
from datetime import datetime
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.collector import Collector
from tests.hub import KEY, NEW_PRIVATE, NEW_PUBLIC, OLD_PRIVATE, OLD_PUBLIC, SECRET, signature
from tests.leaks import Ledger
from tests.server.textile.there import APP, SITE, US, USERAUTH, VISITORS, there
from tests.world import claims_of
from tokenward.jose.identity import PrivateKey
from tokenward.server.app import application
from tokenward.server.endpoints import errors
from tokenward.server.serve import serving
from tokenward.server.settings import load
from tokenward.server.textile import giving

IN_URL = USERAUTH + "\nkey_in_url = true"
VISITING = USERAUTH + '\nvisitors = "site"'
SOMEBODY = PrivateKey.generate()
SECRET_KEY = SOMEBODY.to_string()
NO_RULE = "There is no such token for this caller, or none at all."


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    with there(tmp_path_factory.mktemp("textile"), textile=USERAUTH) as routes:
        yield routes


@pytest.fixture(scope="module")
def by_url(tmp_path_factory):
    with there(tmp_path_factory.mktemp("url"), textile=IN_URL) as routes:
        yield routes


def get(routes, path, **headers):
    return httpx2.get(routes.url + path, headers=headers, trust_env=False)


def post(routes, said, path="/api/token", **headers):
    headers = {"Content-Type": "application/json"} | headers
    content = said if isinstance(said, str | bytes) else json.dumps(said)
    return httpx2.post(routes.url + path, content=content, headers=headers, trust_env=False)


def refused(answer, status, code, description=None):
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    said = answer.json()
    assert said["error"] == code
    if description is not None:
        assert said["error_description"] == description
    return said


# /api/token ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["id", "ident"])
@pytest.mark.parametrize(
    ("private", "public"), [(NEW_PRIVATE, NEW_PUBLIC), (OLD_PRIVATE, OLD_PUBLIC)]
)
async def test_the_example_of_the_documentation_works(by_url, name, private, public):
    answer = get(by_url, f"/api/token?{name}={private}")
    assert answer.status_code == 200
    said = answer.json()
    assert said.keys() == {"message", "token"}
    assert said["message"] == "Success: new API token"
    assert claims_of(said["token"])["sub"] == public
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Connection"] == "close"
    event = await by_url.event(event="textile.token", subject=public)
    assert (event["caller"], event["rule"], event["outcome"]) == ("people", "people", "ok")


@pytest.mark.parametrize("name", ["id", "ident"])
@pytest.mark.parametrize("private", [NEW_PRIVATE, OLD_PRIVATE, SECRET_KEY])
def test_the_better_form_is_a_post(routes, name, private):
    answer = post(routes, {name: private})
    assert answer.status_code == 200
    assert answer.json()["message"] == "Success: new API token"
    assert claims_of(answer.json()["token"])["sub"] == PrivateKey.from_string(private).public.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_key_in_the_url_is_refused_unless_that_is_turned_on(routes):
    answer = get(routes, f"/api/token?id={SECRET_KEY}")
    said = "A private key does not belong into a URL: POST it, as JSON."
    refused(answer, 405, "invalid_request", said)
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert answer.headers["Connection"] == "close"


MISSING = "id is required: the private key of an identity"
UNKNOWN = "id: not a private key in any notation we know"
TWICE = "id and ident are the same: say one of them, once"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", MISSING),
        ("?", MISSING),
        ("?key=x", MISSING),
        ("?ID=x", MISSING),
        ("?id=", "id: a private key is required, as a string"),
        ("?id=x", None),
        ("?ident=x", None),
        (f"?id={NEW_PUBLIC}", None),
        (f"?id={SECRET_KEY[:-1]}", None),
        (f"?id={SECRET_KEY}&id={SECRET_KEY}", TWICE),
        (f"?id={SECRET_KEY}&ident={SECRET_KEY}", TWICE),
        (f"?id={SECRET_KEY}%00", None),
        ("?id=%ff", None),
        ("?id=" + "a" * 3000, None),
    ],
)
def test_what_is_no_private_key_in_a_url_is_said_to_be_none(by_url, query, said):
    answer = get(by_url, f"/api/token{query}")
    refused(answer, 400, "invalid_request", said)
    assert SECRET_KEY[20:] not in answer.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, MISSING),
        ({"id": None}, "id: a private key is required, as a string"),
        ({"id": ""}, "id: a private key is required, as a string"),
        ({"id": 1}, "id: a private key is required, as a string"),
        ({"ident": ["x"]}, "ident: a private key is required, as a string"),
        ({"id": {"toString": 1}}, "id: a private key is required, as a string"),
        ({"id": SECRET_KEY, "ident": SECRET_KEY}, TWICE),
        ({"id": NEW_PUBLIC}, None),
        ({"id": SECRET_KEY[:-1]}, None),
        ("", "the body is not a JSON object"),
        ("null", "the body is not a JSON object"),
        ("[]", "the body is not a JSON object"),
        (f'"{SECRET_KEY}"', "the body is not a JSON object"),
        (f'{{"id":"{SECRET_KEY}","id":"x"}}', "the body is not a JSON object"),
        (b"\xff\xfe", "the body is not a JSON object"),
        ("[" * 5000, "the body is not a JSON object"),
    ],
)
def test_what_is_no_private_key_in_a_body_is_said_to_be_none(routes, body, said):
    answer = post(routes, body)
    refused(answer, 400, "invalid_request", said)
    assert SECRET_KEY[20:] not in answer.text


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_the_body_says_that_it_is_json_as_no_form_of_another_page_can(routes, kind):
    answer = post(routes, {"id": SECRET_KEY}, **{"Content-Type": kind})
    refused(answer, 400, "invalid_request", "the body must be JSON, and content-type must say so")


def test_a_body_and_a_query_are_one_too_many(routes):
    answer = post(routes, {"id": SECRET_KEY}, "/api/token?id=x")
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("origin", [APP, US])
def test_pages_of_the_people_may_ask(by_url, origin):
    assert get(by_url, f"/api/token?id={SECRET_KEY}", Origin=origin).status_code == 200
    answer = post(by_url, {"id": SECRET_KEY}, Origin=origin)
    assert answer.status_code == 200
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    assert allowed == (APP if origin == APP else None)  # at home, nobody has to ask


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", SITE, APP + ".evil", "*"])
def test_other_pages_may_not(by_url, origin):
    said = "Pages of this origin may not ask here."
    refused(get(by_url, f"/api/token?id={SECRET_KEY}", Origin=origin), 403, "access_denied", said)
    refused(post(by_url, {"id": SECRET_KEY}, Origin=origin), 403, "access_denied", said)


async def test_without_a_rule_there_is_no_token(tmp_path):
    with there(tmp_path, textile=IN_URL, allow="", more=VISITORS) as routes:
        refused(get(routes, f"/api/token?id={SECRET_KEY}"), 400, "invalid_target", NO_RULE)
        refused(post(routes, {"id": SECRET_KEY}), 400, "invalid_target", NO_RULE)
        await routes.event(event="textile.token", outcome="refused", error="invalid_target")


async def test_a_key_that_may_not_come_is_told_so(tmp_path):
    with there(tmp_path) as routes:
        path = tmp_path / "tokenward.toml"
        text = path.read_text().replace("anybody = true", f'keys = ["{NEW_PUBLIC}"]')
        (tmp_path / "listed").mkdir()
        with listed(tmp_path / "listed", text, routes.trail) as url:
            routes.url = url
            assert post(routes, {"id": NEW_PRIVATE}).status_code == 200
            said = "nobody we trust has this key"
            refused(post(routes, {"id": SECRET_KEY}), 400, "invalid_grant", said)
            async with routes.talk("/ws/token") as client:
                assert await client.ask(SOMEBODY) == {"type": "error", "value": said}


def listed(folder, text, trail):
    path = folder / "tokenward.toml"
    path.write_text(text.replace(str(trail), "stdout"))
    return serving(application(load(path, {"SIGNIN": SECRET})))


# /api/userauth and /api/credentials ──────────────────────────────────────────────────────────────

SIGNED = pytest.mark.parametrize("path", ["/api/userauth", "/api/credentials"])


def good(answer):
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    said = answer.json()
    assert said.keys() == {"key", "msg", "sig"}
    assert (said["key"], said["sig"]) == (KEY, signature(said["msg"]))
    return said


@SIGNED
async def test_whoever_is_vouched_for_gets_a_signature(routes, path):
    token = routes.staff_token()
    said = good(get(routes, path, Authorization=f"Bearer {token}"))
    event = await routes.event(event="textile.userauth", caller="staff")
    assert (event["rule"], event["token"]) == ("staff sign", "signin")
    assert signature(said["msg"]) not in routes.trail.read_text()
    assert 0 < ends_in(said["msg"]) <= 301


def ends_in(message):
    return datetime.fromisoformat(message).timestamp() - time.time()


@SIGNED
def test_whoever_shows_nothing_is_told_to(routes, path):
    answer = get(routes, path)
    refused(answer, 401, "invalid_request", "a bearer token is required")
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{errors.REALM}"'


@SIGNED
@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("Bearer x.y.z", 401, "invalid_grant"),
        ("Bearer", 401, "invalid_request"),
        ("Basic eDp5", 401, "invalid_request"),
        ("Bearer a b", 401, "invalid_request"),
    ],
)
def test_what_does_not_vouch_is_refused(routes, path, authorization, status, code):
    answer = get(routes, path, Authorization=authorization)
    refused(answer, status, code)
    assert "WWW-Authenticate" in answer.headers


@SIGNED
@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ({"role": "other"}, 403, "invalid_target"),
        ({"aud": "https://elsewhere.example"}, 401, "invalid_grant"),
        ({"exp": 1}, 401, "invalid_grant"),
    ],
)
def test_the_rules_decide_about_those_who_are(routes, path, claims, status, code):
    token = routes.staff_token(**claims)
    refused(get(routes, path, Authorization=f"Bearer {token}"), status, code)


@SIGNED
async def test_anybody_may_where_the_rules_say_so_of_visitors(tmp_path, path):
    with there(tmp_path, textile=VISITING, more=VISITORS) as routes:
        good(get(routes, path))
        answer = get(routes, path, Origin=SITE)
        good(answer)
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        for origin in "https://elsewhere.example", "null", APP:
            refused(get(routes, path, Origin=origin), 403, "access_denied")
        event = await routes.event(event="textile.userauth", rule="visitors sign")
        assert (event["caller"], event["subject"]) == ("site", "site")
        # Somebody who shows something bad is no visitor.
        refused(get(routes, path, Authorization="Bearer x.y.z"), 401, "invalid_grant")


@SIGNED
def test_visitors_have_nothing_without_a_rule(tmp_path, path):
    with there(tmp_path, textile=VISITING) as routes:
        refused(get(routes, path), 403, "invalid_target", NO_RULE)


def test_nothing_is_signed_at_the_other_paths_if_nothing_is_to_be(tmp_path):
    with there(tmp_path, textile="") as routes:
        for path in "/api/userauth", "/api/credentials", "/ws/userauth", "/ws/login":
            assert get(routes, path).status_code == 404


def test_foo_is_bar(routes):
    answer = get(routes, "/api/foo")
    assert (answer.status_code, answer.json()) == (200, {"foo": "bar"})


@pytest.mark.parametrize("path", ["/ws/token", "/ws/userauth", "/ws/login"])
def test_without_a_websocket_there_is_nothing_to_be_heard(routes, path):
    answer = get(routes, path)
    refused(answer, 426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"


def test_none_of_it_is_there_unless_it_is_turned_on(tmp_path):
    with there(tmp_path) as routes:
        text = (tmp_path / "tokenward.toml").read_text()
        at = text.index("[textile]")
        end = text.index("[[allow]]")
        (tmp_path / "off").mkdir()
        with listed(tmp_path / "off", text[:at] + text[end:], routes.trail) as url:
            for path in (
                *("/api/foo", "/api/token", "/api/userauth", "/api/credentials"),
                *("/ws/token", "/ws/userauth", "/ws/login"),
            ):
                answer = httpx2.get(url + path, trust_env=False)
                assert answer.status_code == 404, path


# A private key leaves no trace ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_private_key_is_nowhere_in_what_the_server_wrote(tmp_path, capfd, caplog, lane):
    """Request lines, the trail, traces, numbers, errors, standard error: with all of them on."""
    caplog.set_level(logging.DEBUG)
    key, other = PrivateKey.generate(), PrivateKey.generate("p256")
    text = key.to_string()
    with Collector() as collector:
        more = f"""
            [log]
            requests = true
            [metrics]
            secrets = ["${{METRICS}}"]
            [otel]
            endpoint = "{collector.url}"
            subject  = true
            """
        with there(tmp_path, textile=IN_URL, more=more, lane=f'lane = "{lane}"') as routes:
            tokens = []
            for _ in range(3):  # on one connection and on several, so that nothing is kept
                with httpx2.Client(base_url=routes.url, trust_env=False) as http:
                    good = [
                        http.get(f"/api/token?id={text}"),
                        http.get(f"/api/token?ident={text}"),
                        http.get(f"/api/token?id={other.to_string()}"),
                        http.post("/api/token", json={"id": text}),
                    ]
                    tokens += [answer.json()["token"] for answer in good]
                    answers = [
                        http.get(f"/api/token?id={text}x"),
                        http.get(f"/api/token?x={text}"),
                        http.get(f"/api/foo?id={text}"),
                        http.get(f"/nowhere?id={text}"),
                        http.get(f"/api/token?id={text}", headers={"Origin": "null"}),
                        http.put(f"/api/token?id={text}"),
                        http.head(f"/api/token?id={text}x"),
                        http.post(f"/api/token?id={text}", json={"id": text}),
                        http.post("/api/token", content=text),
                    ]
            half = raw(routes.url, f"GET /api/token?id={text} HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n")
            numbers = httpx2.get(
                routes.url + "/metrics",
                headers={"Authorization": "Bearer " + "m" * 40},
                trust_env=False,
            )
            assert numbers.status_code == 200
        spans = b"".join(collector.bodies)
    written = capfd.readouterr()
    ledger = Ledger()
    for one in key, other:
        ledger.secret("a private key", one.to_string())
        ledger.secret("what is in it", one.to_string()[12:])
    for token in tokens:
        ledger.token("a token", token)
    for answer in answers:
        ledger.wrote(tmp_path / "answers", answer.content, f"the answer {answer.status_code}")
    ledger.wrote(tmp_path / "answers", half)
    ledger.wrote(tmp_path / "numbers", numbers.content)
    ledger.wrote(tmp_path / "spans", spans)
    ledger.wrote(tmp_path / "stdout", written.out.encode())
    ledger.wrote(tmp_path / "stderr", written.err.encode())
    ours = ("tokenward", "uvicorn", "asyncio")  # the client that asks has a log of its own
    logged = [it.getMessage() for it in caplog.records if it.name.partition(".")[0] in ours]
    ledger.wrote(tmp_path / "logged", "\n".join(logged).encode())
    trail = routes.trail.read_bytes()
    ledger.wrote(routes.trail, trail)
    ledger.trail("trail", trail)
    assert b"/api/token" in spans
    assert "GET /api/token 200" in written.err
    assert b"textile.token" in trail
    assert b"/api/token" in numbers.content
    ledger.check()


def raw(url, said):
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as it:
        it.sendall(said.encode())
        found = b""
        while data := it.recv(4096):
            found += data
    return found


def test_the_head_of_such_a_request_is_not_kept_for_the_next_one(by_url):
    """The fast lane keeps heads; the connection that this came on ends with its answer."""
    with socket.create_connection((urlsplit(by_url.url).hostname, urlsplit(by_url.url).port)) as it:
        it.sendall(f"GET /api/token?id={SECRET_KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        found = b""
        while data := it.recv(4096):
            found += data
    assert found.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in found.lower()


def test_a_giving_says_nothing_of_whom_it_knows():
    assert "owner" not in repr(
        giving.Giving(issuance=None, audit=None, owner=lambda key: None, token="threads")
    )
