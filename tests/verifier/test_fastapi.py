"""The FastAPI dependency, in an application that a real server runs."""

import socket
import threading
import time
from typing import Annotated

import httpx2
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Security

from tokenward.verifier import Claims, Verifier
from tokenward.verifier.fastapi import bearer


def application(verifier):
    app = FastAPI()
    reader = bearer(verifier, "read", realm="orders")

    @app.get("/read")
    async def read(token: Annotated[Claims, Depends(reader)]) -> str:
        return str(token["sub"])

    @app.get("/sync")
    def sync(token: Annotated[Claims, Depends(reader)]) -> str:
        return str(token["sub"])

    @app.get("/delete")
    async def delete(token: Annotated[Claims, Security(reader, scopes=["delete"])]) -> str:
        return str(token["sub"])

    @app.get("/acme")
    async def acme(
        token: Annotated[Claims, Depends(bearer(verifier, claims={"org": "acme"}))],
    ) -> str:
        return str(token["org"])

    strict = bearer(verifier, "read", "write", claims={"org": "acme"})

    @app.get("/strict")
    async def all_of_it(
        token: Annotated[Claims, Security(strict, scopes=["delete", "purge"])],
    ) -> str:
        return str(token["org"])

    return app


@pytest.fixture
def api(issuer):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(Verifier(issuer.url, "api")), log_level="error", lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.005)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx2.Client(base_url=url, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join()
    listener.close()


def show(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/read", "/sync"])
def test_a_good_token_reaches_the_handler(api, issuer, path):
    response = api.get(path, headers=show(issuer.token()))
    assert (response.status_code, response.json()) == (200, "user|1")


@pytest.mark.parametrize("path", ["/read", "/sync", "/delete", "/acme"])
def test_no_token_is_401_and_told_how(api, path):
    response = api.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer realm=")
    assert "error=" not in response.headers["www-authenticate"]
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "claims", "said"),
    [
        ("/read", {"aud": "another"}, (401, "invalid_token")),
        ("/read", {"exp": ...}, (401, "invalid_token")),
        ("/read", {"scope": "reader"}, (403, "insufficient_scope")),
        ("/read", {"scope": ...}, (403, "insufficient_scope")),
        ("/delete", {"scope": "read"}, (403, "insufficient_scope")),
        ("/delete", {"scope": "delete"}, (403, "insufficient_scope")),
        ("/acme", {"org": "emca"}, (403, "insufficient_scope")),
        ("/acme", {}, (403, "insufficient_scope")),
    ],
)
def test_a_token_that_does_not_do_is_refused(api, issuer, path, claims, said):
    response = api.get(path, headers=show(issuer.token(**claims)))
    error = response.json()["detail"]["error"]
    assert (response.status_code, error) == said
    assert f'error="{error}"' in response.headers["www-authenticate"]


def test_scopes_of_the_route_are_needed_besides_those_of_the_dependency(api, issuer):
    assert api.get("/delete", headers=show(issuer.token(scope="read delete"))).status_code == 200
    response = api.get("/delete", headers=show(issuer.token(scope="read")))
    assert 'scope="read delete"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "read write delete purge", "org": "acme"}, 200),
        ({"scope": "read write delete purge", "org": "emca"}, 403),
        ({"scope": "read write delete", "org": "acme"}, 403),
        ({"scope": "write delete purge", "org": "acme"}, 403),
        ({"scope": "delete purge", "org": "acme"}, 403),
    ],
)
def test_what_a_route_needs_besides_takes_nothing_away(api, issuer, claims, status):
    assert api.get("/strict", headers=show(issuer.token(**claims))).status_code == status


@pytest.mark.parametrize(
    ("path", "realm"), [("/read", "orders"), ("/delete", "orders"), ("/acme", "api")]
)
def test_each_says_its_own_realm(api, path, realm):
    assert api.get(path).headers["www-authenticate"] == f'Bearer realm="{realm}"'


def test_claims_are_needed(api, issuer):
    assert api.get("/acme", headers=show(issuer.token(org="acme"))).json() == "acme"


def test_two_headers_are_a_bad_request(api, issuer):
    headers = [("Authorization", f"Bearer {issuer.token()}")] * 2
    assert api.get("/read", headers=headers).status_code == 400


def test_without_keys_it_is_503(api, issuer):
    issuer.behaviour["*"] = "500"
    response = api.get("/read", headers=show(issuer.token()))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1


def test_the_document_says_that_a_bearer_token_is_needed(api):
    document = api.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert document["paths"]["/read"]["get"]["security"] == [{"Bearer": []}]
