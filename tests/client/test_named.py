"""A token by its name: with a client if there is one, else by who we are where we run."""

import asyncio
import inspect
import typing
from functools import partial

import pytest

from tests.client.platforms import GitHub, Google, jwt
from tests.client.standin import Issuer, Reply
from tokenward import (
    AccessToken,
    TokenCache,
    TokenError,
    ambient_auth,
    atoken_for,
    requires_token,
    token_for,
)
from tokenward.client.ambient import Here
from tokenward.client.disk import NOWHERE

JWT = "urn:ietf:params:oauth:token-type:jwt"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture(autouse=True)
def nothing_is_shared(monkeypatch, tmp_path, issuer):
    monkeypatch.setattr("tokenward.client.auth.SHARED", TokenCache())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TOKENWARD_CACHE", raising=False)
    monkeypatch.setenv("TOKENWARD_ISSUER", issuer.url)
    # The machine that runs the tests may be one of a cloud, or a pod.
    elsewhere = partial(Here, root=tmp_path / "root")
    monkeypatch.setattr("tokenward.client.ambient.auth.Here", elsewhere)
    for name in "GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN":
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setenv("TOKENWARD_CLIENT_ID", "service-x")
    monkeypatch.setenv("TOKENWARD_CLIENT_SECRET", "s3cr3t")


@pytest.fixture
def github(monkeypatch):
    with GitHub() as github:
        for name, value in github.environ().items():
            monkeypatch.setenv(name, value)
        yield github


@pytest.fixture(params=["sync", "async"])
def get(request):
    if request.param == "sync":
        return token_for
    return lambda *args, **more: asyncio.run(atoken_for(*args, **more))


# ── token_for ──────────────────────────────────────────────────────────────────────────────────


def test_with_a_client_it_is_the_clients_own(get, issuer, client, github):
    assert str(get("itwin", scope="read")) == "token-1"
    (asked,) = issuer.questions
    assert asked.basic == ("service-x", "s3cr3t")
    assert asked.form == {
        "grant_type": ["client_credentials"],
        "audience": ["itwin"],
        "scope": ["read"],
    }
    assert github.asked == []


def test_without_one_it_is_exchanged_for_who_we_are(get, issuer, github):
    assert str(get("itwin", scope="read")) == "token-1"
    (asked,) = issuer.questions
    assert "authorization" not in asked.headers
    form = {name: it for name, it in asked.form.items() if name != "subject_token"}
    assert form == {
        "grant_type": [EXCHANGE],
        "subject_token_type": [JWT],
        "requested_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
        "audience": ["itwin"],
        "scope": ["read"],
    }
    (shown,) = asked.form["subject_token"]
    assert shown.count(".") == 2
    assert github.asked[0].path.endswith(f"audience={_quoted(issuer.url)}")


def _quoted(url):
    return url.replace(":", "%3A").replace("/", "%2F")


def test_a_crowd_asks_the_platform_and_the_server_once(issuer, github):
    async def crowd():
        return await asyncio.gather(*(atoken_for("itwin") for _ in range(20)))

    assert {str(token) for token in asyncio.run(crowd())} == {"token-1"}
    assert (len(issuer.questions), len(github.asked)) == (1, 1)


def test_another_name_and_another_scope_is_another_token(get, issuer, github):
    assert len({str(get("itwin")), str(get("reports")), str(get("itwin", scope="x"))}) == 3
    assert len({str(get("itwin")), str(get("reports")), str(get("itwin", scope="x"))}) == 3
    assert len(issuer.questions) == 3


def test_the_identity_may_be_meant_for_another_name_of_the_server(get, issuer, github, monkeypatch):
    monkeypatch.setenv("TOKENWARD_IDENTITY_AUDIENCE", "api://tokens")
    get("itwin")
    assert github.asked[0].path.endswith("audience=api%3A%2F%2Ftokens")


def test_a_client_of_another_issuer_is_not_told_to_this_one(get, client, github):
    with Issuer() as other:
        get("itwin", issuer=other.url)
        (asked,) = other.questions
    assert asked.form["grant_type"] == [EXCHANGE]
    assert "authorization" not in asked.headers


def test_without_anything_every_place_is_named(get, issuer):
    with pytest.raises(TokenError, match="Looked at") as caught:
        get("itwin")
    assert "GitHub Actions: ACTIONS_ID_TOKEN_REQUEST_URL is not set" in str(caught.value)
    assert issuer.questions == []


def test_what_the_server_says_no_to_is_said_without_the_identity(get, issuer, github):
    token = jwt(issuer.url)
    github.token = lambda _: token
    issuer.answers = [Reply(400, {"error": "invalid_target", "error_description": f"no {token}"})]
    with pytest.raises(TokenError, match="invalid_target") as caught:
        get("itwin")
    said = str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    assert token not in said
    assert github.bearer not in said


@pytest.mark.parametrize(
    ("how", "said"),
    [({"name": ""}, "needs a name"), ({"name": "x", "issuer": "http://evil.example"}, "https")],
)
def test_mistakes_are_said_before_anything_is_sent(get, github, how, said):
    with pytest.raises(ValueError, match=said):
        get(how["name"], issuer=how.get("issuer", ""))
    assert github.asked == []


def test_without_an_issuer_there_is_nobody_to_ask(get, github, monkeypatch):
    monkeypatch.delenv("TOKENWARD_ISSUER")
    with pytest.raises(ValueError, match="TOKENWARD_ISSUER"):
        get("itwin")


def test_a_platform_that_stumbles_is_asked_again(get, issuer, github):
    replies = [Reply(503), Reply(503)]
    good = github.good
    github.good = lambda asked: replies.pop() if replies else good(asked)
    assert str(get("itwin")) == "token-1"
    assert len(github.asked) == 3


# ── The disk ───────────────────────────────────────────────────────────────────────────────────


def another_process(monkeypatch):
    monkeypatch.setattr("tokenward.client.auth.SHARED", TokenCache())


def test_the_next_command_asks_nobody(get, issuer, github, monkeypatch):
    get("itwin")
    another_process(monkeypatch)
    assert str(get("itwin")) == "token-1"
    assert (len(issuer.questions), len(github.asked)) == (1, 1)


@pytest.mark.parametrize("how", ["variable", "argument"])
def test_unless_it_is_turned_off(get, issuer, github, monkeypatch, tmp_path, how):
    if how == "variable":
        monkeypatch.setenv("TOKENWARD_CACHE", "off")
    options = {} if how == "variable" else {"disk": NOWHERE}
    get("itwin", **options)
    another_process(monkeypatch)
    assert str(get("itwin", **options)) == "token-2"
    assert list(tmp_path.iterdir()) == []


def test_the_next_job_on_the_same_machine_does_not_get_the_token_of_this_one(
    get, issuer, github, monkeypatch
):
    get("itwin")
    another_process(monkeypatch)
    github.bearer = "the-bearer-of-another-job"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", github.bearer)
    assert str(get("itwin")) == "token-2"


def test_neither_secrets_nor_identities_are_on_the_disk(get, issuer, github, tmp_path):
    get("itwin")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() + path.name.encode() for path in files)
    (shown,) = issuer.questions[0].form["subject_token"]
    assert b"token-1" in written
    assert shown.encode() not in written
    assert github.bearer.encode() not in written


# ── @requires_token ────────────────────────────────────────────────────────────────────────────


def test_a_function_is_given_a_token(issuer, client):
    @requires_token("itwin", scope="read")
    def models(of, *, token: AccessToken, limit=10):
        return of, str(token), limit

    assert models("site", limit=3) == ("site", "token-1", 3)
    assert models(of="x") == ("x", "token-1", 10)
    assert issuer.questions[0].form["scope"] == ["read"]
    assert len(issuer.questions) == 1


async def test_so_is_a_coroutine(issuer, client):
    @requires_token("itwin", into="key")
    async def models(*, key):
        return key

    assert inspect.iscoroutinefunction(models)
    assert str(await models()) == "token-1"


def test_and_a_method(client):
    class Site:
        @requires_token("itwin")
        def models(self, *, token):
            return self, str(token)

    site = Site()
    assert site.models() == (site, "token-1")


def test_who_passes_a_token_is_not_given_another_one(issuer, client):
    @requires_token("itwin")
    def models(*, token):
        return token

    @requires_token("itwin")
    async def amodels(*, token):
        return token

    assert models(token="mine") == "mine"
    assert asyncio.run(amodels(token="mine")) == "mine"
    assert issuer.questions == []


def test_nothing_is_asked_and_no_setting_needed_before_the_call(issuer, monkeypatch):
    monkeypatch.delenv("TOKENWARD_ISSUER")

    @requires_token("itwin")
    def models(*, token):
        return token

    with pytest.raises(ValueError, match="TOKENWARD_ISSUER"):
        models()


def test_it_is_the_same_function_but_for_the_token():
    @requires_token("itwin")
    def models(of: str, *, limit: int = 3, token: AccessToken) -> list[str]:
        """What there is."""
        return [of, str(limit), str(token)]

    assert (models.__name__, models.__doc__) == ("models", "What there is.")
    assert str(inspect.signature(models)) == "(of: str, *, limit: int = 3) -> list[str]"
    assert typing.get_type_hints(models) == {"of": str, "limit": int, "return": list[str]}


def test_the_function_does_not_run_without_a_token(issuer, client):
    issuer.answers = [Reply(401, {"error": "invalid_client"})] * 2
    ran = []

    @requires_token("itwin")
    def models(*, token):
        ran.append(token)

    @requires_token("itwin")
    async def amodels(*, token):
        ran.append(token)

    with pytest.raises(TokenError, match="invalid_client"):
        models()
    with pytest.raises(TokenError, match="invalid_client"):
        asyncio.run(amodels())
    assert ran == []


def without():
    pass


def positional(token, /):
    pass


def either(token):
    pass


def anything(**token):
    pass


def generator(*, token):
    yield token


async def agenerator(*, token):
    yield token


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (without, r"def without\(…, \*, token\)"),
        (positional, "keyword-only"),
        (either, "keyword-only"),
        (anything, "keyword-only"),
        (generator, "is a generator"),
        (agenerator, "is a generator"),
    ],
)
def test_a_function_that_cannot_be_given_one_is_a_mistake_at_once(function, said):
    with pytest.raises(TypeError, match=said):
        requires_token("itwin")(function)


# ── ambient_auth ───────────────────────────────────────────────────────────────────────────────


def test_a_token_with_every_request(issuer, api, caller, tmp_path):
    with Google() as google:
        auth = ambient_auth(
            issuer.url,
            audience="itwin",
            here=Here(environ=google.environ(), root=tmp_path),
            cache=TokenCache(),
        )
        api.accepts = lambda token: token != "token-1"
        assert caller.request(auth, "GET", api.url).json()["token"] == "token-2"
        assert len(google.asked) == 2
        assert google.url not in repr(auth)


def test_the_token_endpoint_alone_does_not_say_whom_the_identity_is_for(issuer, tmp_path):
    with pytest.raises(ValueError, match="identity_audience is missing"):
        ambient_auth(issuer.token_url, here=Here(environ={}, root=tmp_path))
    here = Here(environ={"TOKENWARD_ID_TOKEN": jwt("us")}, root=tmp_path)
    auth = ambient_auth(issuer.token_url, identity_audience="us", here=here, cache=TokenCache())
    assert str(auth.token()) == "token-1"


def test_a_proxy_on_the_way_to_the_server_is_not_on_the_way_to_the_platform(issuer, tmp_path):
    """What ``connect`` opens is for the token server alone."""
    with Google() as google:
        opened = []

        def connect():
            from tokenward.remote.fetch import open_client  # noqa: PLC0415

            client = open_client()
            client.event_hooks = {"request": [lambda request: opened.append(request.url.path)]}
            return client

        here = Here(environ=google.environ(), root=tmp_path)
        ambient_auth(issuer.url, here=here, cache=TokenCache(), connect=connect).token()
        assert opened == ["/.well-known/openid-configuration", "/connect/token"]
        assert len(google.asked) == 1
