"""Whatever is put in, the documented exceptions and no others come out."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.jose.forge import EXPECTED, NOW, b64, dump
from tokenward.jose import jws
from tokenward.jose.jws import InvalidToken, decode, dump_object, encode, load_object, parse
from tokenward.jose.jwt import Expected, issuer_of, verify
from tokenward.jose.keys import ALGORITHMS, KeySet, VerifyingKey, thumbprint

quickly = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=30)
    | st.lists(st.integers(), max_size=3)
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=6,
)
OBJECT = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=6)
SEGMENT = st.binary(max_size=80).map(b64) | st.text(
    st.sampled_from("ABCDwxyz0189-_=+/. \n\u00e9"), max_size=20
)
MEMBERS = ["kty", "crv", "x", "y", "n", "e", "d", "use", "key_ops", "alg", "kid", "k", "x5c"]


def answer(token, keys, expected=EXPECTED):
    """Verify; anything but InvalidToken is an error of ours."""
    try:
        return verify(token, keys, expected, now=NOW)
    except InvalidToken as error:
        assert str(error).isascii()  # noqa: PT017 - both answers are right
        return None


@quickly
@given(token=ANYTHING | st.text(max_size=300))
def test_nothing_at_random_is_believed(forge, token):
    assert answer(token, forge.keys) is None
    assert issuer_of(token) is None


@quickly
@given(parts=st.lists(SEGMENT, min_size=2, max_size=6))
def test_no_random_parts_are_believed(forge, parts):
    assert answer(".".join(parts), forge.keys) is None


@quickly
@given(header=OBJECT, payload=OBJECT, signature=st.binary(max_size=300))
def test_no_random_json_is_believed(forge, header, payload, signature):
    header = {"alg": "ES256", "kid": "es", **header}
    token = f"{b64(dump(header))}.{b64(dump(payload))}.{b64(signature)}"
    assert answer(token, forge.keys) is None
    issuer = payload.get("iss")
    assert issuer_of(token) in {None, issuer if isinstance(issuer, str) else None}


@quickly
@given(data=st.data())
def test_no_changed_token_is_believed(forge, data):
    token = forge.token(getattr(forge, data.draw(st.sampled_from(["rs", "es", "ed"]))))
    at = data.draw(st.integers(0, len(token) - 1))
    new = data.draw(st.sampled_from("ABcd01-_.=\n \u00e9") | st.characters())
    changed = data.draw(
        st.sampled_from(
            [
                token[:at] + new + token[at + 1 :],
                token[:at] + new + token[at:],
                token[:at] + token[at + 1 :],
                token[:at],
                token[at + 1 :],
            ]
        )
    )
    believed = answer(changed, forge.keys)
    assert believed is None if changed != token else believed is not None


@quickly
@given(header=OBJECT, claims=OBJECT)
def test_whatever_is_signed_only_good_claims_are_believed(forge, header, claims):
    header = {**header, "alg": "ES256", "kid": "es"}
    believed = answer(forge.token(header=header, payload=claims), forge.keys)
    assert believed is None
    more = {**claims, "iss": EXPECTED.issuer, "aud": EXPECTED.audience, "exp": NOW + 9}
    believed = answer(forge.token(payload=more), forge.keys)
    assert believed is None or believed == more


@quickly
@given(
    claims=st.fixed_dictionaries(
        {},
        optional={
            name: ANYTHING | JSON | st.floats(0, 4e9) | st.integers(NOW - 20, NOW + 20)
            for name in ("iss", "aud", "exp", "nbf", "iat", "sub", "jti", "client_id")
        },
    ),
    now=st.floats(allow_nan=False, allow_infinity=False),
    age=st.none() | st.floats(0, 1e9),
)
def test_claims_of_any_type_are_only_ever_refused(claims, now, age):
    expected = Expected(issuer="i", audience="a", max_age=age)
    for more in ({}, {"iss": "i", "aud": "a"}):
        try:
            expected.check({**claims, **more}, now=now)
        except InvalidToken as error:
            assert error.claim in {"iss", "aud", "exp", "nbf", "iat", "sub", "jti", "client_id"}  # noqa: PT017
        else:
            assert now < claims["exp"] + 10


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_what_is_signed_is_believed(signing_keys, name):
    key = signing_keys[name]
    keys = KeySet((key.verifying_key(),))

    @settings(max_examples=8 if name[:2] in {"RS", "PS"} else 20, deadline=None)
    @given(claims=OBJECT)
    def round_trip(claims):
        good = {
            name: value
            for name, value in claims.items()
            if name not in {"nbf", "iat", "sub", "jti", "client_id"}
        } | {"iss": EXPECTED.issuer, "aud": [EXPECTED.audience], "exp": NOW + 60}
        assert answer(key.sign(good, typ="at+jwt"), keys) == good

    round_trip()


@quickly
@given(value=OBJECT)
def test_json_comes_back(value):
    written = dump_object(value)
    assert load_object(written) == value == jws._load_strictly(written)
    assert load_object(json.dumps(value, indent=1).encode()) == value
    assert load_object(jws._dump_slowly(value)) == value


@settings(max_examples=100, deadline=None)
@given(
    data=st.binary(max_size=40)
    | OBJECT.map(json.dumps).map(str.encode)
    | st.text(st.sampled_from('{}[]":,\\ abu0d8e19.-+EN\n'), max_size=28).map(
        lambda text: ('{"a":' + text).encode()
    )
)
def test_both_readers_of_json_say_the_same(data):
    outcomes = []
    for read in (load_object, jws._load_strictly):
        try:
            outcomes.append(repr(read(data)))
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@quickly
@given(levels=st.integers(1, 40), kinds=st.lists(st.booleans(), min_size=40, max_size=40))
def test_depth_is_counted_in_arrays_and_objects_alike(levels, kinds):
    opening = b"".join(b"[" if kind else b'{"]":' for kind in kinds[:levels])
    closing = b"".join(b"]" if kind else b"}" for kind in reversed(kinds[:levels]))
    data = b'{"a":' + opening + b'"[{\\"["' + closing + b"}"
    if levels < jws.DEEPEST:
        assert load_object(data) == json.loads(data)
    else:
        with pytest.raises(ValueError, match=r"^nested"):
            load_object(data)


@quickly
@given(data=st.binary(max_size=200))
def test_base64url_comes_back(data):
    assert decode(encode(data)) == data
    assert encode(data) == b64(data)


@quickly
@given(text=st.text(st.sampled_from("ABCDwxyz0189-_=+/. \n"), max_size=40))
def test_what_base64url_reads_it_would_write(text):
    try:
        data = decode(text)
    except ValueError:
        return
    assert encode(data) == text


@quickly
@given(document=st.fixed_dictionaries({}, optional=dict.fromkeys(MEMBERS, JSON | SEGMENT)))
def test_no_random_jwk_is_anything_but_refused(forge, document):
    for which in ("rs", "es", "ed"):
        jwk = {**getattr(forge, which).public_jwk(), **document}
        try:
            key = VerifyingKey.from_jwk(jwk)
        except ValueError:
            continue
        assert key.thumbprint == thumbprint(jwk) or jwk["kty"] == "RSA"
        assert key.verify(b"x", b"y" * 64) is False


@quickly
@given(x=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_ed25519_keys_at_random_fit_no_signature(x, signature):
    try:
        key = VerifyingKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64(x)})
    except ValueError:
        return
    assert key.verify(b"message", signature) is False


@quickly
@given(document=JSON | st.lists(JSON).map(lambda keys: {"keys": keys}))
def test_a_random_jwks_has_no_keys(document):
    try:
        keys = KeySet.parse(document)
    except ValueError:
        return
    assert len(keys) == 0
    assert len(keys.skipped) == len(document["keys"])


@quickly
@given(signature=st.binary(max_size=140))
def test_checking_a_signature_never_raises(forge, signature):
    for key in forge.keys.keys:
        assert key.verify(b"message", signature) is False


@quickly
@given(token=st.text(st.sampled_from("eyJhbGciOiJFUzI1NiJ9.-_="), max_size=60))
def test_taking_apart_gives_what_was_put_together(token):
    try:
        compact = parse(token)
    except InvalidToken:
        return
    assert f"{compact.signed.decode()}.{encode(compact.signature)}" == token
    assert not math.isnan(len(compact.payload))
