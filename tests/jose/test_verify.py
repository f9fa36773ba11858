"""What is believed, up to the edge; what is demanded of a token; and who it says it is from."""

from dataclasses import replace
from math import inf, nan

import pytest

from tests.jose.forge import AUDIENCE, CLAIMS, EXPECTED, ISSUER, NOW, b64, dump
from tokenward.jose.jws import Expired, InvalidToken, UnknownKey
from tokenward.jose.jwt import ACCESS_TOKEN, Expected, issuer_of, verify
from tokenward.jose.keys import ALGORITHMS, KeySet


@pytest.mark.parametrize("which", ["rs", "es", "ed", "ps", "p521"])
def test_a_good_token_of_each_kind_gives_its_claims(forge, which):
    token = forge.token(getattr(forge, which))
    assert verify(token, forge.keys, EXPECTED, now=NOW) == CLAIMS


def test_both_names_of_ed25519_mean_the_same(forge):
    for name in ("EdDSA", "Ed25519"):
        header = forge.header(forge.ed, alg=name)
        token = forge.token(forge.ed, header=header, alg="EdDSA")
        assert verify(token, forge.keys, EXPECTED, now=NOW)["iss"] == ISSUER


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "jwt"},
        {"typ": "At+Jwt"},
        {"typ": "application/at+jwt"},
        {"typ": "APPLICATION/AT+JWT"},
        {"typ": None},
        {"kid": None},
        {"cty": "JWT"},
        {"x5t": "AAAA", "x5c": ["AAAA"], "jku": "https://elsewhere.example/"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"unknown": [1, {"a": None}]},
        {"\u00e9": "\u00e9"},
        {"x": "y" * 2000},
    ],
)
def test_what_else_a_header_may_say(forge, header):
    token = forge.token(header=forge.header(forge.es, **header))
    assert verify(token, forge.keys, EXPECTED, now=NOW) == CLAIMS


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["https://other.example/", AUDIENCE]},
        {"aud": [AUDIENCE, AUDIENCE]},
        {"exp": NOW - 9},
        {"exp": NOW - 9.999},
        {"exp": NOW + 0.5},
        {"exp": 253402300799},
        {"nbf": NOW + 10},
        {"nbf": 0},
        {"nbf": ...},
        {"iat": NOW + 60},
        {"iat": 0},
        {"iat": ...},
        {"iat": 1.5e9},
        {"sub": ..., "jti": ..., "client_id": ...},
        {"scope": ["a", "b"]},
        {"x": None},
        {"x": 2**64 - 1},
        {"x": -(2**63)},
        {"x": "\u00e9\U0001f600\u2028\x7f"},
        {"x": 'a\\b"c/d\ne'},
        {"x": [[[{"y": []}]]]},
        {"": ""},
        {f"claim{number}": number for number in range(200)},
    ],
)
def test_what_claims_may_say(forge, claims):
    expected = forge.claims(**claims)
    assert verify(forge.token(payload=expected), forge.keys, EXPECTED, now=NOW) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b" " + dump(CLAIMS),
        dump(CLAIMS) + b"\r\n",
        dump(CLAIMS).replace(b",", b",\r\n\t "),
        dump(CLAIMS).replace(b"/", b"\\/"),
        dump(CLAIMS).replace(b'"iss"', b'"\\u0069ss"'),
    ],
)
def test_other_spellings_of_the_same_json_are_the_same(forge, payload):
    assert verify(forge.token(payload=payload), forge.keys, EXPECTED, now=NOW) == CLAIMS


def test_escaped_pairs_are_one_character(forge):
    payload = dump(CLAIMS)[:-1] + b',"x":"\\ud83d\\ude00"}'
    assert verify(forge.token(payload=payload), forge.keys, EXPECTED, now=NOW)["x"] == "\U0001f600"


def test_claims_are_read_only(forge):
    claims = verify(forge.token(), forge.keys, EXPECTED, now=NOW)
    with pytest.raises(TypeError, match="does not support item assignment"):
        claims["sub"] = "administrator"


# ── what is demanded ────────────────────────────────────────────────────────────────────────────


def test_the_signature_comes_before_the_payload(forge):
    good = forge.token(payload=b"no JSON at all")
    bad = good.rpartition(".")[0] + "." + b64(bytes(64))
    with pytest.raises(InvalidToken, match=r"^payload: not JSON"):
        verify(good, forge.keys, EXPECTED, now=NOW)
    with pytest.raises(InvalidToken, match=r"^the signature does not match$"):
        verify(bad, forge.keys, EXPECTED, now=NOW)


def test_expired_is_said_only_when_all_the_rest_is_right(forge):
    for claims in ({"aud": "x"}, {"iss": "x"}, {"sub": 1}, {"nbf": NOW + 99, "iat": ...}):
        token = forge.token(payload=forge.claims(**{"exp": 1, "iat": ..., "nbf": ..., **claims}))
        with pytest.raises(InvalidToken) as raised:
            verify(token, forge.keys, EXPECTED, now=NOW)
        assert not isinstance(raised.value, Expired)
    token = forge.token(header=forge.header(forge.es, typ="dpop+jwt"), payload=forge.claims(exp=1))
    with pytest.raises(InvalidToken, match="typ"):
        verify(token, forge.keys, EXPECTED, now=NOW)


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"iss": "x"}, "iss"),
        ({"aud": "x"}, "aud"),
        ({"aud": 1}, "aud"),
        ({"aud": ...}, "aud"),
        ({"exp": ...}, "exp"),
        ({"exp": "x"}, "exp"),
        ({"exp": 1, "iat": ...}, "exp"),
        ({"nbf": NOW + 99}, "nbf"),
        ({"iat": NOW + 99}, "iat"),
        ({"sub": 1}, "sub"),
    ],
)
def test_a_refusal_names_the_claim(forge, claims, claim):
    with pytest.raises(InvalidToken) as raised:
        verify(forge.token(payload=forge.claims(**claims)), forge.keys, EXPECTED, now=NOW)
    assert raised.value.claim == claim
    assert str(raised.value).startswith(f"{claim}: ")


def test_a_refusal_that_is_not_about_a_claim_names_none(forge):
    for token in ("", forge.token(forge.evil_es), forge.token(payload=b"[]")):
        with pytest.raises(InvalidToken) as raised:
            verify(token, forge.keys, EXPECTED, now=NOW)
        assert raised.value.claim == ""


def test_several_audiences_may_be_ours(forge):
    expected = replace(EXPECTED, audience=("https://a.example/", AUDIENCE))
    assert verify(forge.token(), forge.keys, expected, now=NOW) == CLAIMS


def test_no_audience_is_demanded_only_if_that_is_said(forge):
    expected = replace(EXPECTED, audience=None)
    for audience in (..., "https://other.example/", ["x", "y"]):
        claims = forge.claims(aud=audience)
        assert verify(forge.token(payload=claims), forge.keys, expected, now=NOW) == claims
    for audience in (1, [], [1], None):
        with pytest.raises(InvalidToken, match=r"^aud: neither"):
            verify(forge.token(payload=forge.claims(aud=audience)), forge.keys, expected, now=NOW)


def test_exp_is_not_demanded_only_if_that_is_said(forge):
    expected = replace(EXPECTED, required=())
    assert "exp" not in verify(
        forge.token(payload=forge.claims(exp=...)), forge.keys, expected, now=NOW
    )
    with pytest.raises(Expired):
        verify(
            forge.token(payload=forge.claims(exp=1, iat=..., nbf=...)),
            forge.keys,
            expected,
            now=NOW,
        )


def test_any_kind_of_token_is_believed_only_if_that_is_said(forge):
    token = forge.token(header=forge.header(forge.es, typ="logout+jwt"))
    assert verify(token, forge.keys, replace(EXPECTED, typ=None), now=NOW) == CLAIMS


@pytest.mark.parametrize(("age", "fits"), [(0, True), (69, True), (70, False), (3600, False)])
def test_a_greatest_age_counts_from_iat(forge, age, fits):
    expected = replace(EXPECTED, max_age=60)
    token = forge.token(payload=forge.claims(iat=NOW - age))
    if fits:
        assert verify(token, forge.keys, expected, now=NOW)
    else:
        with pytest.raises(InvalidToken, match=r"^iat: too long ago$"):
            verify(token, forge.keys, expected, now=NOW)


def test_the_leeway_may_be_nothing(forge):
    exact = replace(EXPECTED, leeway=0, future_iat=0)
    token = forge.token(payload=forge.claims(iat=NOW, nbf=NOW, exp=NOW + 1))
    assert verify(token, forge.keys, exact, now=NOW)
    with pytest.raises(InvalidToken, match=r"^nbf"):
        verify(token, forge.keys, exact, now=NOW - 0.001)
    with pytest.raises(Expired):
        verify(token, forge.keys, exact, now=NOW + 1)


def test_the_defaults_are_spelled_out():
    expected = Expected(issuer=ISSUER, audience=AUDIENCE)
    assert expected.algorithms == ALGORITHMS
    assert expected.typ == ACCESS_TOKEN == {"at+jwt", "jwt", ""}
    assert (expected.leeway, expected.future_iat, expected.max_age) == (10, 60, None)
    assert expected.required == ("exp",)
    with pytest.raises(TypeError):
        Expected(issuer=ISSUER)


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": ()},
        {"audience": ("a", "")},
        {"algorithms": frozenset()},
        {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset({"RS256", "HS256"})},
        {"algorithms": frozenset({"rs256"})},
        {"typ": frozenset({"JWT"})},
        {"typ": frozenset({"application/at+jwt"})},
        {"leeway": -1},
        {"leeway": nan},
        {"leeway": inf},
        {"future_iat": -0.5},
        {"max_age": -60},
        {"max_age": nan},
    ],
)
def test_nobody_can_demand_nothing_or_the_impossible(settings):
    with pytest.raises(ValueError, match=r"^an? "):
        Expected(**{"issuer": ISSUER, "audience": AUDIENCE, **settings})


def test_newer_keys_may_help_where_no_key_fits(forge):
    with pytest.raises(UnknownKey):
        verify(forge.token(), KeySet(), EXPECTED, now=NOW)
    assert verify(forge.token(), KeySet((forge.es.verifying_key(),)), EXPECTED, now=NOW)


def test_an_issuer_that_used_a_kid_twice_is_understood(forge):
    keys = KeySet((forge.evil_es.verifying_key(), forge.es.verifying_key()))
    assert verify(forge.token(), keys, EXPECTED, now=NOW) == CLAIMS
    assert verify(forge.token(forge.evil_es), keys, EXPECTED, now=NOW) == CLAIMS


# ── who it says it is from ──────────────────────────────────────────────────────────────────────


def test_who_a_token_says_it_is_from(forge):
    assert issuer_of(forge.token()) == ISSUER
    assert issuer_of(forge.token(forge.evil_rs, payload={"iss": "https://evil.example/"})) == (
        "https://evil.example/"
    )


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b'{"iss":1}', b'{"iss":null}', b'{"iss":["x"]}', b"{}", b'{"iss":"a","iss":"b"}'],
)
def test_some_tokens_do_not_say(forge, payload):
    assert issuer_of(forge.token(payload=payload)) is None


@pytest.mark.parametrize("token", ["", "..", "a.b.c", "x", None, b"", 1, "\ud800", "." * 10**6])
def test_what_is_no_token_does_not_say(token):
    assert issuer_of(token) is None
