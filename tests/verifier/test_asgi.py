"""Nobody comes through the middleware without a good token, by whatever road."""

import httpx2
import pytest

from tests.servers import Hands
from tokenward.verifier import BearerMiddleware, Verifier


async def app(scope, receive, send):
    """Says whose token it was shown."""
    token = scope["tokenward.claims"]
    assert scope["state"]["token"] is token
    body = (token["sub"] if token else "nobody").encode()
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": body})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def verifier(issuer):
    return Verifier(issuer.url, "api")


async def get(door, path="/", *tokens, **headers):
    transport = httpx2.ASGITransport(door)
    values = [("Authorization", f"Bearer {token}") for token in tokens]
    values += headers.items()
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example") as client:
        return await client.get(path, headers=values)


async def test_a_good_token_passes_with_its_claims(issuer, verifier):
    response = await get(BearerMiddleware(app, verifier, scope="read"), "/", issuer.token())
    assert (response.status_code, response.text) == (200, "user|1")


async def test_no_token_does_not_pass(verifier):
    response = await get(BearerMiddleware(app, verifier))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="api"'
    assert response.headers["cache-control"] == "no-store"
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize(
    ("settings", "claims", "status"),
    [
        ({}, {"aud": "another"}, 401),
        ({}, {"exp": ...}, 401),
        ({}, {"iss": "https://other.example"}, 401),
        ({"scope": "admin"}, {}, 403),
        ({"claims": {"org": "acme"}}, {"org": "emca"}, 403),
        ({"optional": True}, {"aud": "another"}, 401),
        ({"optional": True, "scope": "admin"}, {}, 403),
        ({"realm": "orders"}, {"aud": "another"}, 401),
    ],
)
async def test_a_bad_token_does_not_pass(issuer, verifier, settings, claims, status):
    door = BearerMiddleware(app, verifier, **settings)
    response = await get(door, "/", issuer.token(**claims))
    assert response.status_code == status
    challenge = response.headers["www-authenticate"]
    assert f'realm="{settings.get("realm", "api")}"' in challenge
    assert response.json()["error"] in challenge


async def test_two_tokens_do_not_pass(issuer, verifier):
    response = await get(BearerMiddleware(app, verifier), "/", issuer.token(), issuer.token())
    assert response.status_code == 400


async def test_a_token_in_the_query_is_not_seen(issuer, verifier):
    door = BearerMiddleware(app, verifier)
    assert (await get(door, f"/?access_token={issuer.token()}")).status_code == 401


async def test_without_keys_it_is_503(issuer, verifier):
    issuer.behaviour["*"] = "500"
    response = await get(BearerMiddleware(app, verifier), "/", issuer.token())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/health", "/public/", "/public/a", "/public/a/b"])
async def test_exempt_paths_need_no_token(verifier, path):
    door = BearerMiddleware(app, verifier, exempt=["/health", "/public/*"])
    assert (await get(door, path)).text == "nobody"


@pytest.mark.parametrize(
    "path",
    [
        "/healthy",
        "/health/",
        "/Health",
        "/public",
        "/publicity",
        "/x/public/a",
        "/public/../admin",
        "/public/./a",
        "/public//a",
        "/public/..%2fadmin",
        "/public/%2e%2e/admin",
        "/public/%252e%252e/admin",
        "/public/a\\..\\admin",
    ],
)
async def test_paths_that_only_look_exempt_are_not(verifier, path):
    door = BearerMiddleware(app, verifier, exempt=["/health", "/public/*"])
    answers = []

    async def send(message):
        answers.append(message)

    decoded = httpx2.URL(f"http://api.example{path}").path if "%" in path else path
    scope = {"type": "http", "path": decoded, "headers": [], "method": "GET"}
    await door(scope, None, send)
    assert answers[0]["status"] == 401


async def test_optional_lets_pass_who_shows_nothing(issuer, verifier):
    door = BearerMiddleware(app, verifier, optional=True)
    assert (await get(door)).text == "nobody"
    assert (await get(door, "/", issuer.token())).text == "user|1"
    assert (await get(door, Authorization="Bearer")).status_code == 400
    assert (await get(door, Authorization="Basic YTpi")).status_code == 401


async def test_the_servers_own_state_is_left_alone(issuer, verifier):
    state = {"pool": object()}
    seen = {}

    async def remember(scope, receive, send):
        seen.update(scope)

    headers = [(b"Authorization", f"Bearer {issuer.token()}".encode())]
    scope = {"type": "http", "path": "/", "headers": headers, "state": state}
    await BearerMiddleware(remember, verifier)(scope, None, None)
    assert list(state) == ["pool"]
    assert seen["state"]["pool"] is state["pool"]
    assert "tokenward.claims" not in scope


async def test_lifespan_passes(verifier):
    seen = []

    async def remember(*given):
        seen.extend(given)

    given = ({"type": "lifespan"}, object(), object())
    await BearerMiddleware(remember, verifier)(*given)
    assert all(one is other for one, other in zip(seen, given, strict=True))


@pytest.mark.parametrize("path", ["/health", "/"])
async def test_whoever_passes_is_heard_and_answered(issuer, verifier, path):
    seen = []

    async def remember(*given):
        seen.extend(given)

    headers = [(b"AUTHORIZATION", f"Bearer {issuer.token()}".encode())]
    scope = {"type": "http", "path": path, "headers": headers, "state": {"a": 1}}
    receive, send = object(), object()
    await BearerMiddleware(remember, verifier, exempt=["/health"])(scope, receive, send)
    assert (seen[1], seen[2]) == (receive, send)
    assert (seen[0]["state"]["token"] is None) is (path == "/health")


async def test_a_path_that_ends_in_a_star_is_a_folder_and_no_path(verifier):
    door = BearerMiddleware(app, verifier, exempt=["/public/*", "/exact"])
    assert door._paths == {"/exact"}
    assert door._below == ("/public/",)


async def test_names_of_headers_are_in_lower_case(verifier):
    """As ASGI demands of those who send them."""
    sent = []

    async def send(message):
        sent.append(message)

    await BearerMiddleware(app, verifier)({"type": "http", "path": "/", "headers": []}, None, send)
    assert [name for name, _ in sent[0]["headers"]] == [
        b"content-type",
        b"cache-control",
        b"www-authenticate",
        b"content-length",
    ]


async def websocket(door, *tokens, extensions=None):
    """What a server would see of a WebSocket handshake."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode()) for token in tokens]
    scope = {"type": "websocket", "path": "/", "headers": headers, "extensions": extensions}
    await door(scope, receive, send)
    return sent


async def test_a_websocket_with_a_good_token_is_opened(issuer, verifier):
    sent = await websocket(BearerMiddleware(app, verifier), issuer.token())
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    assert sent[1]["bytes"] == b"user|1"


async def test_a_websocket_without_one_is_closed_before_it_opens(issuer, verifier):
    door = BearerMiddleware(app, verifier)
    for tokens in ((), (issuer.token(aud="another"),)):
        assert await websocket(door, *tokens) == [{"type": "websocket.close", "code": 1008}]


async def test_a_websocket_is_refused_properly_where_the_server_can(issuer, verifier):
    door = BearerMiddleware(app, verifier, scope="admin")
    start, body = await websocket(door, issuer.token(), extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert b"insufficient_scope" in dict(start["headers"])[b"www-authenticate"]
    assert body["type"] == "websocket.http.response.body"


async def test_what_is_no_known_kind_of_traffic_is_refused(verifier):
    door = BearerMiddleware(app, verifier)
    sent = []

    async def send(message):
        sent.append(message)

    await door({"type": "webtransport", "path": "/", "headers": []}, None, send)
    assert sent[0]["status"] == 401


async def test_an_expired_token_stops_passing(issuer):
    hands = Hands()
    door = BearerMiddleware(app, Verifier(issuer.url, "api", clock=hands))
    token = issuer.token()
    assert (await get(door, "/", token)).status_code == 200
    hands.forward(700)
    assert (await get(door, "/", token)).status_code == 401
