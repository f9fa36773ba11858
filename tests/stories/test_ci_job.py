"""A job in CI gets its token from a server of ours, by nothing but what it is."""

import asyncio
import json
from functools import partial

import pytest

from tests.client.platforms import GitHub
from tests.running import CONFIG, free_port
from tests.servers import Issuer
from tokenward import TokenCache, TokenError, atoken_for, requires_token, token_for
from tokenward.client.ambient import Here
from tokenward.client.ambient.finding import PLACES
from tokenward.jose.jws import load_object, parse
from tokenward.jose.keys import SigningKey

SETTINGS = """
store  = "sqlite:tokenward.db"
listen = "127.0.0.1:{port}"
issuer = "http://127.0.0.1:{port}"
[audit]
to = "audit.jsonl"

[callers.ci]
proof    = "jwt"
issuer   = "{github}"
audience = "http://127.0.0.1:{port}"

[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read", "reports:write"]

[[allow]]
name   = "deployments of acme/app"
caller = "ci"
claims = {{ repository = "acme/app", ref = "refs/heads/main" }}
token  = "reports"
scope  = "reports:write"
"""


class Job(GitHub):
    """A job, and GitHub as far as its tokens go."""

    def __init__(self, issuer):
        super().__init__()
        self.claims = {"repository": "acme/app", "ref": "refs/heads/main"}
        self.issuer = issuer
        self.token = self.about_the_job

    def about_the_job(self, audience):
        about = {"aud": audience, "sub": "repo:acme/app:ref:refs/heads/main", **self.claims}
        return self.issuer.token(typ="JWT", **about)


@pytest.fixture(scope="module")
def github():
    with Issuer(SigningKey.generate("ES256")).serving() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def server(running, github):
    files = {CONFIG: SETTINGS.format(port=free_port(), github=github.url)}
    with running("ci", files=files) as server:
        yield server


@pytest.fixture
def job(github, server, ledger, monkeypatch, tmp_path):
    """The environment of a job, on a machine that nobody else has."""
    monkeypatch.setattr("tokenward.client.auth.SHARED", TokenCache())
    monkeypatch.setattr("tokenward.client.ambient.auth.Here", partial(Here, root=tmp_path / "root"))
    for name in {name for place in PLACES for name in place.variables}:
        monkeypatch.delenv(name, raising=False)
    with Job(github) as job:
        environ = {"TOKENWARD_ISSUER": server.url, "XDG_CACHE_HOME": str(tmp_path)}
        for name, value in {**job.environ(), **environ}.items():
            monkeypatch.setenv(name, value)
        yield job
    for kept in tmp_path.rglob("*.json"):
        ledger.tokens("a token of the job", json.loads(kept.read_bytes()))


def test_the_job_gets_the_token_that_its_rule_allows(job, server):
    token = token_for("reports", scope="reports:write")
    claims = load_object(parse(str(token)).payload)
    assert claims["sub"] == "ci|repo:acme/app:ref:refs/heads/main"
    assert claims["scope"] == "reports:write"
    event = server.event(outcome="ok")
    assert (event["caller"], event["token"]) == ("ci", "reports")
    assert event["rule"] == "deployments of acme/app"


def test_its_next_command_asks_nobody(job, monkeypatch):
    first = token_for("reports")
    monkeypatch.setattr("tokenward.client.auth.SHARED", TokenCache())
    assert asyncio.run(atoken_for("reports")).value == first.value
    assert len(job.asked) == 1


def test_a_function_of_the_job_has_it(job):
    @requires_token("reports", scope="reports:write")
    def deploy(*, token):
        return token.value

    assert deploy().count(".") == 2


@pytest.mark.parametrize(
    ("claims", "how", "error"),
    [
        ({"ref": "refs/heads/evil"}, {}, "invalid_target"),
        ({"repository": "evil/app"}, {}, "invalid_target"),
        ({}, {"scope": "reports:read"}, "invalid_scope"),
        ({"aud": "https://else.example"}, {}, ""),
        ({"exp": 1_000_000_000, "iat": 999_999_000}, {}, "invalid_grant"),
    ],
)
def test_another_job_gets_nothing(job, claims, how, error):
    job.claims |= claims
    with pytest.raises(TokenError) as caught:
        token_for("reports", **how)
    assert caught.value.error == error
    assert job.bearer not in str(caught.value)
