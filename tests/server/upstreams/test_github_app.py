"""Installation tokens: a real server that answers as GitHub's documentation says, or worse."""

import json
import re
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.server.upstreams.granting import BROKEN, NOW, granted
from tests.upstream import THEIRS, Upstream, says
from tokenward.oauth.errors import ScopeRequired, TemporarilyUnavailable
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.upstreams.github_app import GithubApp

GIVEN = {
    "token": "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "expires_at": datetime.fromtimestamp(NOW + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "permissions": {"contents": "read", "metadata": "read"},
    "repository_selection": "selected",
    "repositories": [{"id": 1, "name": "app", "full_name": "acme/app"}],
}


def gives(status=201, **changes):
    said = {name: it for name, it in {**GIVEN, **changes}.items() if it is not None}
    return says(status, json.dumps(said), Content_Type="application/json")


@pytest.fixture(scope="module")
def key(rsa_keys):
    return rsa_keys[0]


@pytest.fixture(scope="module")
def app(key):
    """Makes one: ``app(theirs)``."""
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def make(theirs, **settings):
        us = {"app": "Iv1.abc", "installation": "4711", "repositories": ("app",)}
        return GithubApp(**{**us, "private_key": pem.decode(), "url": theirs.url, **settings})

    return make


async def asked(upstream, authorization):
    async with open_async_client() as http:
        return await arun(upstream.flow(authorization, now=NOW), http)


async def test_a_token_for_exactly_what_was_granted(app, key):
    with Upstream() as theirs:
        theirs.always = gives()
        token = await asked(app(theirs), granted("contents:read"))
        question = theirs.questions[0]
    assert (token.value, token.expires_at, str(token.scope)) == (
        GIVEN["token"],
        NOW + 3600,
        "contents:read",
    )
    assert question.path == "/app/installations/4711/access_tokens"
    assert json.loads(question.body) == {
        "permissions": {"contents": "read"},
        "repositories": ["app"],
    }
    assert question.headers["accept"] == "application/vnd.github+json"
    assert question.headers["x-github-api-version"] == "2022-11-28"
    scheme, _, jwt = question.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    said = app_claims(jwt, key)
    assert said["iss"] == "Iv1.abc"
    assert NOW - 60 == said["iat"] < said["exp"] <= NOW + 600


def app_claims(jwt, key):
    """What GitHub reads: an RS256 signature of the app's, without audience or key id."""
    from tokenward.jose import jws  # noqa: PLC0415

    parsed = jws.parse(jwt)
    assert dict(parsed.header) == {"alg": "RS256", "typ": "JWT"}
    signed, _, signature = jwt.rpartition(".")
    assert key.verifying_key().verify(signed.encode(), jws.decode(signature))
    return jws.load_object(parsed.payload)


@pytest.mark.parametrize(
    ("settings", "scope", "permissions", "repositories"),
    [
        ({}, "contents:write issues:read", {"contents": "write", "issues": "read"}, ["app"]),
        ({"repositories": ()}, "contents:read repository:web", {"contents": "read"}, ["web"]),
        ({"repositories": ("*",)}, "contents:read", {"contents": "read"}, None),
    ],
)
async def test_the_scope_says_what_may_be_done_and_where(
    app, settings, scope, permissions, repositories
):
    with Upstream() as theirs:
        named = None if repositories is None else [{"name": it} for it in repositories]
        theirs.always = gives(permissions=permissions, repositories=named)
        token = await asked(app(theirs, **settings), granted(scope))
        wanted = json.loads(theirs.questions[0].body)
    assert str(token.scope) == scope
    assert (wanted["permissions"], wanted.get("repositories")) == (permissions, repositories)


@pytest.mark.parametrize(
    ("settings", "scope"),
    [({}, ""), ({}, "repository:app"), ({"repositories": ()}, "contents:read")],
)
def test_who_names_nothing_is_not_given_everything(app, settings, scope):
    with Upstream() as theirs, pytest.raises(ScopeRequired):
        app(theirs, **settings).shared_by(granted(scope))


OTHERS = {
    "other repositories": gives(repositories=[{"name": "app"}, {"name": "secrets"}]),
    "one repository less": gives(repositories=[]),
    "no word of repositories": gives(repositories=None),
    "a wider permission": gives(permissions={"contents": "write"}),
    "one permission more": gives(permissions={"contents": "read", "issues": "read"}),
    "no permissions": gives(permissions=None),
    "no token": gives(token=None),
    "no end": gives(expires_at=None),
    "an end that is none": gives(expires_at="tomorrow"),
    "an end that has been": gives(expires_at="2016-07-11T22:14:10Z"),
    "200": gives(200),
    "404": says(404, '{"message": "Not Found"}'),
    "422": says(422, f'{{"message": "{THEIRS}"}}'),
}


@pytest.mark.parametrize("broken", [*OTHERS, *BROKEN])
async def test_no_token_comes_of_anything_else_and_no_word_of_theirs(app, broken):
    with Upstream() as theirs:
        theirs.always = {**BROKEN, **OTHERS}[broken]
        async with open_async_client() as http:
            broker = Broker(upstream=app(theirs), http=http, deadline=0.3, clock=lambda: NOW)
            with pytest.raises(TemporarilyUnavailable) as caught:
                await broker.issue(granted("contents:read"))
    assert THEIRS not in f"{caught.value.description} {caught.value.detail}"


def test_where_scopes_name_repositories_nobody_gets_others_by_naming_none(app):
    """A rule for repository:web gave whatever the settings named to whoever left the name out."""
    vocabulary = Scope.parse("contents:read repository:web")
    with Upstream() as theirs:
        for repositories in (("app",), ("*",)):
            with pytest.raises(ValueError, match="repository:x"):
                app(theirs, repositories=repositories).check_scopes(vocabulary)
            app(theirs, repositories=repositories).check_scopes(Scope.parse("contents:read"))
        app(theirs, repositories=()).check_scopes(vocabulary)


@pytest.mark.parametrize("scopes", ["", "contents", "contents:", ":read", "contents:read x"])
def test_scopes_that_are_no_permissions_are_refused(app, scopes):
    with Upstream() as theirs, pytest.raises(ValueError, match="contents:read"):
        app(theirs).check_scopes(Scope.parse(scopes))


@pytest.mark.parametrize(
    "settings",
    [{"private_key": "nonsense"}, {"url": "http://api.example.com"}, {"url": "ftp://x"}],
)
def test_settings_that_make_no_sense_are_refused(app, settings):
    with Upstream() as theirs, pytest.raises(ValueError, match=r"\w"):
        app(theirs, **settings)


def test_the_file_is_short_enough_to_be_read_at_once(app, key):
    import inspect  # noqa: PLC0415

    from tokenward.server.upstreams import github_app  # noqa: PLC0415

    assert len(inspect.getsource(github_app).splitlines()) < 80
    with Upstream() as theirs:
        made = app(theirs)
    assert re.search("PRIVATE KEY", made.private_key)
    assert "PRIVATE KEY" not in repr(made)
