"""Tokens of issuers we trust, and all that only looks like one (RFC 8725; RFC 8693 §4)."""

import time
from base64 import urlsafe_b64encode

import pytest

from tests.attacks.lab import KEY, NIGHTLY, RSA, claims_of, forge
from tests.world import JWT
from tokenward.jose import jws
from tokenward.jose.keys import SigningKey

OTHER = SigningKey.generate("ES256")
REFUSED = b"No token: nobody we trust vouches for this token"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"permissions": "models:read"},
        {"permissions": ["x", "models:read"]},
        {"aud": ["https://x.example", "http://tokenserver.sample.bentley.com"]},
        {"iat": ...},
        {"sub": "ä" * 300},
        {"exp": int(time.time()) + 10**6},
        {"unknown": {"deep": [{"er": [1, 2, None, 1.5]}]}},
    ],
)
def test_a_good_token_gets_one(lab, server, claims):
    assert server.get_token(lab.user_token(**claims)).status == 200


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_kind_may_be_written_in_every_legal_way(lab, server, typ):
    assert server.get_token(lab.user_token(typ=typ)).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(lab, server, scheme):
    header = ("Authorization", f"{scheme} {lab.user_token()}")
    assert server.ask("GET", "/getToken", header).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": ...},
        {"exp": 0},
        {"exp": -1},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": None},
        {"exp": [9999999999]},
        {"exp": int(time.time() * 1000) + 10**7},
        {"nbf": int(time.time()) + 600},
        {"nbf": "0"},
        {"iat": int(time.time()) + 600},
        {"iat": "0"},
        {"iss": "https://evil.example/"},
        {"iss": ["https://evil.example/"]},
        {"iss": ...},
        {"aud": ...},
        {"aud": "http://tokenserver.sample.bentley.com/"},
        {"aud": "HTTP://tokenserver.sample.bentley.com"},
        {"aud": "http://tokenserver.sample.bentley.com.evil"},
        {"aud": []},
        {"aud": [["http://tokenserver.sample.bentley.com"]]},
        {"aud": {"http://tokenserver.sample.bentley.com": 1}},
        {"sub": ...},
        {"sub": ""},
        {"sub": 5},
        {"sub": ["auth0|ann"]},
        {"jti": 5},
    ],
)
def test_claims_that_nearly_fit_do_not(lab, server, claims):
    answer = server.get_token(lab.user_token(**claims))
    assert (answer.status, answer.body) == (401, REFUSED)
    assert answer["www-authenticate"].startswith('Bearer realm="tokenward", error="invalid_token"')


def test_an_expired_token_is_called_expired(lab, server):
    """Also where another caller trusts the same issuer for another audience."""
    answer = server.get_token(
        lab.user_token(iat=int(time.time()) - 200, exp=int(time.time()) - 100)
    )
    assert (answer.status, answer.body) == (401, b"No token: the token has expired")


@pytest.mark.parametrize("claims", [{"permissions": []}, {"permissions": ...}])
def test_a_good_token_without_the_right_claims_is_forbidden(lab, server, claims):
    assert server.get_token(lab.user_token(**claims)).status == 403


@pytest.mark.parametrize("permission", ["Models:read", "models:read ", "models:*", "models"])
@pytest.mark.parametrize("wrapped", [str, lambda it: [it], lambda it: [[it]], lambda it: {it: 1}])
def test_a_claim_is_compared_to_the_letter(lab, server, permission, wrapped):
    assert server.get_token(lab.user_token(permissions=wrapped(permission))).status == 403


def claims(lab, **more):
    return claims_of(lab.user_token(**more))


@pytest.mark.parametrize(
    "header",
    [
        *({"alg": alg} for alg in ("none", "None", "NONE", "nOnE", "", " none", "HS256", "es256")),
        {"alg": "ES256"} | {"jwk": OTHER.public_jwk()},
        {"alg": "ES256", "kid": KEY.kid, "jwk": OTHER.public_jwk()},
        {"alg": "ES256", "kid": "../../../dev/null"},
        {"alg": "ES256", "kid": "x' OR '1'='1"},
        {"alg": "ES256", "kid": ["a"]},
        {"alg": ["ES256"]},
        {"alg": "RS256", "kid": KEY.kid},
        {"alg": "ES384", "kid": KEY.kid},
        {"kid": KEY.kid},
    ],
)
def test_a_header_cannot_bring_or_choose_a_key_that_is_not_the_issuers(lab, server, header):
    token = forge({"typ": "JWT"} | header, claims(lab), OTHER)
    assert server.get_token(token).status == 401


@pytest.mark.parametrize(
    "more", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"zip": "DEF"}, {"enc": "A128GCM"}]
)
def test_extensions_are_not_understood_even_if_the_signature_is_right(lab, server, more):
    token = forge({"alg": "ES256", "kid": KEY.kid} | more, claims(lab))
    assert server.get_token(token).status == 401


@pytest.mark.parametrize("typ", ["dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "at+jwt "])
def test_another_kind_of_token_is_not_an_access_token(lab, server, typ):
    assert server.get_token(lab.user_token(typ=typ)).status == 401


def test_nothing_in_a_header_is_fetched(lab, server):
    for name in ("jku", "x5u"):
        header = {"alg": "ES256", "kid": KEY.kid, name: f"{lab.friend.origin}/canary"}
        assert server.get_token(forge(header, claims(lab), OTHER)).status == 401
    assert "/canary" not in lab.friend.asked


def test_a_public_key_is_no_secret(lab, server):
    import hmac  # noqa: PLC0415
    from hashlib import sha256  # noqa: PLC0415

    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    public = RSA.private.public_key()
    signed = forge({"alg": "HS256", "kid": RSA.kid}, claims(lab)).rpartition(".")[0]
    for encoding in (Encoding.PEM, Encoding.DER):
        for format in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
            secret = public.public_bytes(encoding, format)
            mac = hmac.digest(secret, signed.encode(), sha256)
            assert server.get_token(f"{signed}.{jws.encode(mac)}").status == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it + "=",
        lambda it: it + ".",
        lambda it: "." + it,
        lambda it: it[:-1],
        lambda it: it[:-4],
        lambda it: it.rpartition(".")[0] + ".",
        lambda it: it.rpartition(".")[0],
        lambda it: it.replace(".", "..", 1),
        lambda it: it + "." * 1_000,
        lambda it: it.partition(".")[0] + "=." + it.partition(".")[2],
        lambda it: it + "A" * 20_000,
        lambda it: it.rpartition(".")[0] + "." + jws.encode(b"\0" * 64),
        lambda it: it.rpartition(".")[0] + "." + jws.encode(b"\xff" * 64),
        lambda it: it.rpartition(".")[0] + "." + "A" * 21_830,
        lambda it: "eyJhbGciOiJub25lIn0." + it.split(".")[1] + ".",
        lambda it: urlsafe_b64encode(it.encode()).decode(),
    ],
)
def test_a_token_has_one_spelling(lab, server, change):
    assert server.get_token(change(lab.user_token())).status == 401


def test_a_remembered_token_is_remembered_whole(lab, server):
    token = lab.user_token(sub="remembered")
    assert server.get_token(token).status == 200
    last = token[-1]
    twin = chr(ord(last) + 1) if last not in "Z9_" else "B"
    for near in (token[:-1] + twin, token[:-1], token + "A", token[: len(token) // 2]):
        assert server.get_token(near).status == 401


@pytest.mark.parametrize("path", ["/getToken", "/getToken?audience=itwin"])
def test_a_token_in_the_url_is_not_seen(lab, server, path):
    token, glue = lab.user_token(), "&" if "?" in path else "?"
    answer = server.ask("GET", f"{path}{glue}access_token={token}")
    assert (answer.status, answer["www-authenticate"]) == (401, 'Bearer realm="tokenward"')


@pytest.mark.parametrize(
    "headers",
    [[], ["Basic abc"], ["Bearer"], ["Bearer "], ["x"], ["DPoP x"], ["Bearer a b"], ['Bearer "a"']],
)
def test_phones_that_cut_the_answer_into_words_find_a_second_one(server, headers):
    """The iOS sample takes word 1 of any body; it must not be a JWT."""
    said = [("Authorization", it) for it in headers]
    for method, path in (("GET", "/getToken"), ("POST", "/getToken"), ("GET", "/getToken/")):
        body = server.ask(method, path, *said).body.decode()
        assert len(body.split(" ")) > 1
        assert "." not in body.split(" ")[1]


# ── RFC 8693 ──


def reports(lab, server, subject=None, **form):
    token = subject or lab.user_token()
    return server.exchange(token, NIGHTLY, audience="reports", **form)


@pytest.mark.parametrize(
    "form",
    [
        {"subject_token_type": ""},
        {"subject_token_type": "jwt"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"subject_token": ""},
        {"actor_token": "x"},
        {"actor_token_type": JWT},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
    ],
)
def test_an_exchange_that_lacks_something_is_malformed(lab, server, form):
    assert reports(lab, server, **form).error == (400, "invalid_request")


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "a" * 60_000, "theirs-1"])
def test_a_subject_nobody_vouches_for_is_an_invalid_grant(lab, server, token):
    assert reports(lab, server, token).error == (400, "invalid_grant")


def test_an_exchange_never_gives_more_than_its_rule(lab, server):
    assert reports(lab, server, scope="reports:write").error == (400, "invalid_scope")
    assert reports(lab, server, lab.user_token(permissions=[])).error == (400, "invalid_target")
    assert server.exchange(lab.user_token(), audience="reports").error[0] == 400
    assert "refresh_token" not in reports(lab, server).json


def test_what_is_minted_does_not_outlive_its_subject(lab, server):
    exp = int(time.time()) + 60
    assert claims_of(reports(lab, server, lab.user_token(exp=exp)).token)["exp"] <= exp


def test_two_issuers_people_of_one_name_are_two_people(lab, server):
    ours = claims_of(reports(lab, server).token)["sub"]
    theirs = claims_of(server.exchange(lab.user_token(by=lab.partner), audience="reports").token)
    assert (ours, theirs["sub"]) == ("mobile|auth0|ann", "partner|auth0|ann")


def test_a_subject_that_reads_like_a_client_is_not_that_client(lab, server):
    """RFC 9700 §4.15."""
    said = claims_of(reports(lab, server, lab.user_token(sub="nightly")).token)
    assert said["sub"] == "mobile|nightly"


def test_a_token_bound_to_a_key_is_no_bearer_token(lab, server):
    """RFC 9449 §7.1, RFC 8705 §3: without a proof of possession it may have been stolen."""
    bound = lab.user_token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})
    assert reports(lab, server, bound).error == (400, "invalid_grant")
    assert server.get_token(bound).status == 401


def test_may_act_means_an_actor_of_the_issuer_that_says_it(lab, server):
    """RFC 8693 §4.4: a sub alone is unique within its issuer only."""
    subject = lab.user_token(may_act={"sub": "svc"})
    theirs = lab.user_token(by=lab.partner, sub="svc")
    answer = reports(lab, server, subject, actor_token=theirs, actor_token_type=JWT)
    assert answer.error == (400, "invalid_grant")


def test_may_act_is_kept(lab, server):
    subject = lab.user_token(may_act={"sub": "svc", "iss": lab.friend.url})
    for sub, status in (("svc", 200), ("other", 400)):
        actor = lab.user_token(sub=sub)
        answer = reports(lab, server, subject, actor_token=actor, actor_token_type=JWT)
        assert answer.status == status


def test_somebody_who_acts_for_another_stays_visible(lab, server):
    """RFC 8693 §4.1: a subject token that was given to an actor must not become their subject's."""
    subject = lab.user_token(act={"sub": "svc"})
    assert "act" in claims_of(reports(lab, server, subject).token)
