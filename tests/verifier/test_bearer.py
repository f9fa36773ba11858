"""RFC 6750: one header, one space, one token; and answers a client can act on."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import Hands
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.errors import InvalidScope
from tokenward.verifier import Gate, Refusal, Verifier
from tokenward.verifier.bearer import MALFORMED, NO_CREDENTIALS, credentials


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def verifier(issuer, hands):
    return Verifier(issuer.url, "api", clock=hands)


def shown(token):
    return [f"Bearer {token}".encode()]


@pytest.fixture(params=["threads", "tasks"])
def admit(request):
    """Both ways in, awaited alike."""

    async def by_threads(gate, values):
        return gate.admit(values)

    async def by_tasks(gate, values):
        return await gate.aadmit(values)

    return by_threads if request.param == "threads" else by_tasks


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
@pytest.mark.parametrize("token", [b"abc", b"a.b.c", b"a-._~+/b==", b"x"])
def test_a_token_is_found(scheme, token):
    assert credentials([scheme + b" " + token]) == token.decode()


@pytest.mark.parametrize("value", [b"Bearer   abc", b"Bearer abc ", b"Bearer abc\t"])
def test_blanks_before_and_after_the_token_are_no_part_of_it(value):
    assert credentials([value]) == "abc"


@pytest.mark.parametrize(
    "values",
    [
        [b"Bearer"],
        [b"Bearer "],
        [b"Bearer\tabc"],
        [b"Bearer \tabc"],
        [b"Bearer\t abc"],
        [b"Bearer a b"],
        [b"Bearer abc, Bearer def"],
        [b"Bearer abc,Basic def"],
        [b"Bearer abc\n"],
        [b"Bearer\nabc"],
        [b"Bearer abc\r\nX: y"],
        [b"Bearer\x00abc"],
        [b"Bearer abc\x00"],
        [b"Bearer\x0babc"],
        [b"Bearer\xa0abc"],
        [b"Bearer =abc"],
        [b"Bearer a=b"],
        [b"Bearer ab\xc3\xa9"],
        [b'Bearer "abc"'],
        [b"Bearer: abc"],
        [b"Bearer=abc"],
        [b"Bearer abc", b"Bearer abc"],
        [b"Bearer abc", b"Basic abc"],
        [b"Basic abc", b"Basic abc"],
        [b"Bearer abc", b""],
    ],
)
def test_a_malformed_header_is_a_bad_request(values):
    assert credentials(values) == MALFORMED


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"Basic YTpi"],
        [b"DPoP abc"],
        [b"Bearers abc"],
        [b"Bearer-x abc"],
        [b" Bearer a"],
    ],
)
def test_no_bearer_token_is_no_credentials(values):
    assert credentials(values) == NO_CREDENTIALS


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_any_headers_are_a_token_or_a_refusal(values):
    found = credentials(values)
    if isinstance(found, str):
        assert re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", found)
        assert len(values) == 1
    else:
        assert found in (NO_CREDENTIALS, MALFORMED)


def test_who_shows_nothing_is_told_how_and_not_of_an_error():
    assert NO_CREDENTIALS.status == 401
    assert NO_CREDENTIALS.challenge("my api") == 'Bearer realm="my api"'
    assert "error" not in json.loads(NO_CREDENTIALS.body())


def test_a_bad_request_is_answered_400():
    assert MALFORMED.status == 400
    assert 'error="invalid_request"' in MALFORMED.challenge()


async def test_a_good_token_lets_in(issuer, verifier, admit):
    claims = await admit(Gate(verifier=verifier, scope="read"), shown(issuer.token()))
    assert claims["sub"] == "user|1"


async def test_the_operator_reads_which_scope_was_lacking(issuer, verifier, admit, caplog):
    with caplog.at_level(logging.INFO, logger="tokenward.verifier"):
        await admit(Gate(verifier=verifier, scope="admin"), shown(issuer.token()))
    assert caplog.messages == ["403 insufficient_scope: scope: needs admin"]


async def test_nothing_shown_asks_nobody(issuer, verifier, admit):
    assert await admit(Gate(verifier=verifier), []) == NO_CREDENTIALS
    assert issuer.asked == []


async def test_a_token_for_somebody_else_is_invalid(issuer, verifier, admit, caplog):
    token = issuer.token(aud="another")
    with caplog.at_level(logging.INFO, logger="tokenward.verifier"):
        refusal = await admit(Gate(verifier=verifier), shown(token))
    assert refusal.headers("api") == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "www-authenticate": 'Bearer realm="api", error="invalid_token",'
        ' error_description="the access token is not valid here"',
    }
    assert refusal.status == 401
    # What was wrong with it is for the operator; what it says is for nobody.
    assert caplog.messages == ["401 invalid_token: aud: not for us"]


async def test_an_expired_token_is_said_to_be_expired(issuer, verifier, hands, admit):
    token = issuer.token()
    hands.forward(700)
    refusal = await admit(Gate(verifier=verifier), shown(token))
    assert (refusal.status, refusal.error) == (401, "invalid_token")
    assert refusal.description == "the access token has expired"


async def test_too_little_scope_is_forbidden_and_told(issuer, verifier, admit):
    refusal = await admit(Gate(verifier=verifier, scope="admin read"), shown(issuer.token()))
    assert refusal.status == 403
    assert refusal.challenge() == (
        'Bearer realm="api", error="insufficient_scope",'
        ' error_description="the access token does not allow this", scope="admin read"'
    )


async def test_another_claim_than_needed_is_forbidden(issuer, verifier, admit):
    gate = Gate(verifier=verifier, claims={"org": "acme"})
    assert (await admit(gate, shown(issuer.token(org="acme"))))["org"] == "acme"
    refusal = await admit(gate, shown(issuer.token(org="acme-evil")))
    assert (refusal.status, refusal.scope) == (403, "")
    assert "acme" not in refusal.body().decode()


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None])
async def test_a_token_bound_to_a_key_is_no_bearer_token(issuer, verifier, admit, cnf, caplog):
    with caplog.at_level(logging.INFO, logger="tokenward.verifier"):
        refusal = await admit(Gate(verifier=verifier), shown(issuer.token(cnf=cnf)))
    assert (refusal.status, refusal.error) == (401, "invalid_token")
    assert caplog.messages == ["401 invalid_token: cnf: bound to a key, so not a bearer token"]


async def test_when_nobody_can_tell_it_is_our_fault(issuer, verifier, admit):
    issuer.behaviour["*"] = "429"
    issuer.headers["Retry-After"] = "7"
    refusal = await admit(Gate(verifier=verifier), shown(issuer.token()))
    assert refusal.status == 503
    assert refusal.headers()["retry-after"] == "7"
    assert "www-authenticate" not in refusal.headers()
    assert refusal.to_json() == {
        "error": "temporarily_unavailable",
        "error_description": "access tokens cannot be verified at the moment",
    }


async def test_a_body_says_what_the_challenge_says(issuer, verifier, admit):
    refusal = await admit(Gate(verifier=verifier, scope="admin read"), shown(issuer.token()))
    assert json.loads(refusal.body()) == {
        "error": "insufficient_scope",
        "error_description": "the access token does not allow this",
        "scope": "admin read",
    }
    assert refusal.headers()["www-authenticate"] == refusal.challenge("api")
    assert json.loads(NO_CREDENTIALS.body()) == {
        "error_description": "an access token is required: Authorization: Bearer ..."
    }
    assert MALFORMED.to_json() == {
        "error": "invalid_request",
        "error_description": "there must be one Authorization header: Bearer, one space, the token",
    }


@pytest.mark.parametrize("realm", ["", 'a"b', "a\\b", "a\r\nb", "\u00e9"])
def test_a_realm_that_breaks_the_header_is_refused(verifier, realm):
    with pytest.raises(ValueError, match=r"^a realm is printable ASCII without quotes$"):
        Gate(verifier=verifier, realm=realm)


@pytest.mark.parametrize("scope", ['a"b', "a\\b", "a\r\nb", "\u00e9"])
def test_a_scope_that_breaks_the_header_is_refused(verifier, scope):
    with pytest.raises(InvalidScope):
        Gate(verifier=verifier, scope=scope)


@given(token=st.text("abcXYZ019-._~+/=", min_size=30, max_size=60))
def test_every_refusal_is_well_formed(token):
    key = SigningKey.generate("ES256")
    gate = Gate(verifier=Verifier("https://i.example", "api", keys=KeySet((key.verifying_key(),))))
    refusal = gate.admit([b"Bearer " + token.encode()])
    assert isinstance(refusal, Refusal)
    assert re.fullmatch(r'Bearer( \w+="[ !#-\[\]-~]+",?)+', refusal.challenge())
    assert token not in refusal.challenge() + refusal.body().decode()
    assert json.loads(refusal.body())["error"] in {"invalid_token", "invalid_request"}
