"""A request asked again is the same grant, and nothing else is."""

from dataclasses import replace

import pytest

from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.messages import CLIENT_CREDENTIALS, JWT_BEARER, TokenRequest
from tokenward.oauth.scope import Scope
from tokenward.server import grants
from tokenward.server.grants import granted
from tokenward.server.model import Caller, Client

NIGHTLY = Client(id="nightly", grant_types=frozenset({CLIENT_CREDENTIALS}))
ANN = Caller(name="mobile", subject="mobile|ann", claims={"role": "admin"})
WORKER = Caller(name="worker", subject="worker|1")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(grants, "_remembered", {})


def request(grant_type=CLIENT_CREDENTIALS, *, issuer="main", targets=("reports",), scope="a b"):
    return TokenRequest(grant_type, {"scope": scope, "x": "y"}, targets, issuer=issuer)


def test_a_grant_says_what_was_asked_for_and_by_whom():
    grant = granted(request(), NIGHTLY, ANN, WORKER)

    assert (grant.caller, grant.client, grant.actor) == (ANN, NIGHTLY, WORKER)
    assert (grant.grant_type, grant.issuer) == (CLIENT_CREDENTIALS, "main")
    assert (grant.targets, grant.scope) == (("reports",), Scope.parse("a b"))
    assert (grant.handle, grant.offline) == ("", False)


def test_the_same_request_of_the_same_caller_is_the_same_grant():
    first = granted(request(), NIGHTLY, ANN)
    assert granted(request(), NIGHTLY, ANN) is first


@pytest.mark.parametrize(
    "other",
    [
        (request(JWT_BEARER), NIGHTLY, ANN),
        (request(issuer="orders"), NIGHTLY, ANN),
        (request(issuer=""), NIGHTLY, ANN),
        (request(targets=()), NIGHTLY, ANN),
        (request(targets=("reports", "reports")), NIGHTLY, ANN),
        (request(targets=("orders",)), NIGHTLY, ANN),
        (request(scope="a"), NIGHTLY, ANN),
        (request(scope=""), NIGHTLY, ANN),
        (request(), replace(NIGHTLY), ANN),
        (request(), NIGHTLY, replace(ANN)),
        (request(), NIGHTLY, replace(ANN, claims={"role": "user"})),
        (request(), NIGHTLY, ANN, WORKER),
        (request(), NIGHTLY, WORKER, ANN),
    ],
)
def test_whatever_differs_makes_another_grant(other):
    first = granted(request(), NIGHTLY, ANN)
    second = granted(*other)

    assert second is not first
    assert second.caller is other[2]
    assert granted(request(), NIGHTLY, ANN) is first


def test_a_scope_that_is_none_is_refused_every_time():
    for _ in range(2):
        with pytest.raises(InvalidScope):
            granted(request(scope='a"b'), NIGHTLY, ANN)


@pytest.mark.parametrize(
    "long",
    [
        request(targets=("t" * grants.LONGEST_REMEMBERED,)),
        request(targets=("t" * 200,) * 6),
        request(scope="s" * (grants.LONGEST_REMEMBERED + 1), targets=()),
    ],
)
def test_what_is_long_is_granted_and_not_remembered(long):
    assert granted(long, NIGHTLY, ANN) == granted(long, NIGHTLY, ANN)
    assert grants._remembered == {}


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(grants, "REMEMBER", 8)
    for number in range(100):
        granted(request(targets=(str(number),)), NIGHTLY, ANN)
        assert len(grants._remembered) <= 8
