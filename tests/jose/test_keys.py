"""A key is sound and for one algorithm, or it is no key; and what is stored comes back."""

import json
import ssl
from base64 import b64decode
from dataclasses import FrozenInstanceError, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.jose.forge import CLAIMS, EXPECTED, NOW, b64, pem
from tokenward.jose import algorithms
from tokenward.jose.jws import decode, parse
from tokenward.jose.jwt import verify
from tokenward.jose.keys import (
    ALGORITHMS,
    KeySet,
    SigningKey,
    UnusableKey,
    VerifyingKey,
    thumbprint,
)

P = 2**255 - 19


def to_pem(private, encryption=None):
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(private):
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


# ── algorithms ──────────────────────────────────────────────────────────────────────────────────


def test_the_algorithms_are_these():
    assert sorted(ALGORITHMS) == [
        *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
        *("PS256", "PS384", "PS512", "RS256", "RS384", "RS512"),
    ]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_what_one_signs_its_own_key_verifies_and_no_other(signing_keys, name):
    key = signing_keys[name]
    compact = parse(key.sign(CLAIMS))
    assert compact.header == {"alg": name, "typ": "JWT", "kid": name.lower()}
    fitting = {
        other
        for other, verifying in signing_keys.items()
        if verifying.verifying_key().verify(compact.signed, compact.signature)
    }
    assert fitting == {name}
    assert key.verifying_key().verify(compact.signed + b"x", compact.signature) is False


def test_signatures_always_have_the_same_length(signing_keys):
    for name, length in {"ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64, "RS256": 256}.items():
        signatures = {
            len(parse(signing_keys[name].sign({"x": number})).signature) for number in range(40)
        }
        assert signatures == {length}


def test_short_numbers_are_filled_up_with_zeros():
    # Signatures with a leading zero byte are rare: 1 in 256.
    for size in (32, 48, 66):
        for r, s in ((1, 1), (0x80, 2**100), (2 ** (8 * size - 8), 255), (2**250, 2**255)):
            der = algorithms.encode_dss_signature(r, s)
            assert algorithms._fixed(der, size) == r.to_bytes(size, "big") + s.to_bytes(size, "big")


@pytest.mark.parametrize(
    "name", ["HS256", "none", "", "RS255", "rs256", "ES256K", "Ed448", "RSA-OAEP", "dir"]
)
def test_no_key_is_for_an_algorithm_we_do_not_know(forge, name):
    for key in (forge.rs, forge.es, forge.ed):
        with pytest.raises(UnusableKey):
            replace(key, algorithm=name)
        with pytest.raises(UnusableKey):
            VerifyingKey(kid=None, algorithm=name, public=key.private.public_key())
        with pytest.raises(UnusableKey):
            VerifyingKey.from_jwk({**key.public_jwk(), "alg": name})
    with pytest.raises(UnusableKey):
        SigningKey.generate(name)


# ── public keys as JSON ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_public_jwk_and_back(signing_keys, name):
    key = signing_keys[name]
    document = key.public_jwk()
    assert document["alg"] == name
    assert document["use"] == "sig"
    assert document["kid"] == name.lower()
    assert ("x5c" in document) == (document["kty"] == "RSA")
    assert VerifyingKey.from_jwk(json.loads(json.dumps(document))) == key.verifying_key()
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & document.keys()


@pytest.mark.parametrize(
    ("which", "algorithm"), [("rs", "RS256"), ("es", "ES256"), ("ed", "EdDSA"), ("p521", "ES512")]
)
def test_a_jwk_that_does_not_say_is_for_the_usual_algorithm(forge, which, algorithm):
    document = getattr(forge, which).public_jwk()
    del document["alg"], document["use"], document["kid"]
    key = VerifyingKey.from_jwk(document)
    assert key.algorithm == algorithm
    assert key.kid is None


@pytest.mark.parametrize(
    "more",
    [
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"x5t": "AAAA", "x5c": ["junk"], "x5u": "https://elsewhere.example/"},
        {"exp": 1, "unknown": None},
    ],
)
def test_what_else_a_jwk_may_say(forge, more):
    assert VerifyingKey.from_jwk({**forge.es.public_jwk(), **more}) == forge.es.verifying_key()


def test_a_zero_in_front_of_the_modulus_is_forgiven(forge):
    numbers = forge.rs.private.public_key().public_numbers()
    document = {**forge.rs.public_jwk(), "n": b64(b"\0" + numbers.n.to_bytes(256, "big"))}
    assert VerifyingKey.from_jwk(document) == forge.rs.verifying_key()


ANY = [
    {"kty": None},
    {"kty": "oct", "k": "c2VjcmV0"},
    {"kty": "AKP"},
    {"kty": 1},
    {"kty": []},
    {"use": "enc"},
    {"use": ""},
    {"use": None},
    {"use": ["sig"]},
    {"key_ops": []},
    {"key_ops": ["sign"]},
    {"key_ops": "verify"},
    {"key_ops": None},
    {"key_ops": {"verify": 1}},
    {"alg": None},
    {"alg": 1},
    {"alg": ["RS256"]},
    {"kid": 1},
    {"kid": ["x"]},
    {"kid": ""},
    {"kid": "x" * 513},
    {"d": "AQAB"},
    {"d": None},
    {"p": "AQAB"},
    {"q": "AQAB"},
    {"dp": "AQAB"},
    {"dq": "AQAB"},
    {"qi": "AQAB"},
    {"oth": []},
    {"k": "AQAB"},
    {"priv": "AQAB"},
]


@pytest.mark.parametrize("which", ["rs", "es", "ed"])
@pytest.mark.parametrize("change", ANY, ids=str)
def test_such_a_jwk_is_no_key_for_verifying(forge, which, change):
    document = getattr(forge, which).public_jwk()
    assert VerifyingKey.from_jwk(document)
    with pytest.raises(ValueError, match=r"^an? |^the key "):
        VerifyingKey.from_jwk({**document, **change})


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


RSA = {
    "no modulus": {"n": ...},
    "an empty modulus": {"n": ""},
    "a modulus that is a number": {"n": 65537},
    "a modulus with padding": {"n": "AQAB="},
    "a modulus that is zero": {"n": "AA"},
    "a small modulus": {"n": number(2**1024 - 1)},
    "2047 bits": {"n": number(2**2047 - 1)},
    "8193 bits": {"n": number(2**8193 - 1)},
    "a huge modulus": {"n": "_" * 10_000_000},
    "an even modulus": {"n": number(2**2048 - 2)},
    "no exponent": {"e": ...},
    "exponent 0": {"e": "AA"},
    "exponent 1": {"e": "AQ"},
    "exponent 2": {"e": "Ag"},
    "an even exponent": {"e": number(65536)},
    "a large exponent": {"e": number(2**64 + 1)},
    "an exponent as large as the modulus": {"e": number(2**2048 - 1)},
    "an exponent that is a number": {"e": 65537},
    "another algorithm": {"alg": "ES256"},
    "the algorithm of Ed25519": {"alg": "EdDSA"},
}
EC = {
    "no curve": {"crv": ...},
    "a curve we do not know": {"crv": "secp256k1"},
    "a curve that is a list": {"crv": ["P-256"]},
    "the name in lower case": {"crv": "p-256"},
    "a larger curve": {"crv": "P-384"},
    "no x": {"x": ...},
    "no y": {"y": ...},
    "y as a sign": {"y": "AQ"},
    "x cut": {"x": b64(bytes(31))},
    "x too long": {"x": b64(bytes(33))},
    "the origin": {"x": b64(bytes(32)), "y": b64(bytes(32))},
    "a point off the curve": {"x": b64(b"\1" * 32)},
    "x beyond the field": {"x": b64(b"\xff" * 32)},
    "another algorithm": {"alg": "RS256"},
    "the algorithm of another curve": {"alg": "ES512"},
}
OKP = {
    "no curve": {"crv": ...},
    "Ed448": {"crv": "Ed448", "x": b64(bytes(57))},
    "X25519": {"crv": "X25519"},
    "the wrong kind": {"kty": "EC"},
    "no x": {"x": ...},
    "an empty x": {"x": ""},
    "x cut": {"x": b64(bytes(31))},
    "x too long": {"x": b64(bytes(33))},
    "another algorithm": {"alg": "ES256"},
    "the algorithm of Ed448": {"alg": "Ed448"},
}


@pytest.mark.parametrize(
    ("which", "change"),
    [
        pytest.param(which, change, id=f"{which}: {name}")
        for which, changes in (("rs", RSA), ("es", EC), ("ed", OKP))
        for name, change in changes.items()
    ],
)
def test_such_members_are_no_key(forge, which, change):
    document = {**getattr(forge, which).public_jwk(), **change}
    document = {name: value for name, value in document.items() if value is not ...}
    with pytest.raises(ValueError, match=r"\S"):
        VerifyingKey.from_jwk(document)


@pytest.mark.parametrize(("which", "name"), [("es", "x"), ("es", "y"), ("p521", "x"), ("ed", "x")])
def test_coordinates_have_their_full_length_and_no_more(forge, which, name):
    document = getattr(forge, which).public_jwk()
    longer = {**document, name: b64(b"\0" + decode(document[name]))}
    with pytest.raises(UnusableKey, match="has not"):
        VerifyingKey.from_jwk(longer)


def test_keys_of_small_order_are_no_keys():
    small = points_of_small_order()
    assert len(small) == 8
    for x, y in small:
        for encoded in {y | (x & 1) << 255, y | 1 << 255, y, *(() if y > 18 else (y + P,))}:
            public = algorithms.ed25519.Ed25519PublicKey.from_public_bytes(
                encoded.to_bytes(32, "little")
            )
            with pytest.raises(UnusableKey):
                VerifyingKey(kid=None, algorithm="EdDSA", public=public)


def points_of_small_order():
    """Find the eight points whose order divides 8, by arithmetic on the curve (RFC 8032 §5.1)."""
    d = -121665 * pow(121666, -1, P) % P

    def add(a, b):
        (x1, y1), (x2, y2) = a, b
        k = d * x1 * x2 * y1 * y2 % P
        x3 = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
        return x3, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P

    def times(n, point):
        total = (0, 1)
        for bit in f"{n:b}":
            total = add(total, total)
            total = add(total, point) if bit == "1" else total
        return total

    found, y = set(), 2
    while len(found) < 8:
        y += 1
        square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
        if x * x % P == square:
            torsion = times(algorithms._ED25519_ORDER, (x, y))
            found |= {times(n, torsion) for n in range(8)}
    return found


def test_the_thumbprint_looks_at_the_key_alone(forge):
    for key in (forge.rs, forge.es, forge.ed):
        document = key.public_jwk()
        assert thumbprint(document) == key.verifying_key().thumbprint
        bare = {k: v for k, v in document.items() if k in {"kty", "crv", "x", "y", "n", "e"}}
        assert thumbprint(dict(reversed(bare.items()))) == key.verifying_key().thumbprint
    assert forge.es.verifying_key().thumbprint != forge.evil_es.verifying_key().thumbprint


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AAAA", "e": 3},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": "P-256", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": None},
        {"kty": "OKP", "crv": "Ed25519", "x": "\u00e9"},
    ],
)
def test_what_is_no_key_has_no_thumbprint(document):
    with pytest.raises(ValueError, match=r"^a JWK"):
        thumbprint(document)


# ── PEM ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["rs", "es", "ed", "p521"])
def test_a_key_in_pem(forge, which):
    key = getattr(forge, which)
    public = VerifyingKey.from_pem(pem(key), kid=which)
    assert public == key.verifying_key()
    assert VerifyingKey.from_pem(pem(key).decode(), kid=which) == public
    private = SigningKey.from_pem(to_pem(key.private), kid=which)
    assert private == key
    assert SigningKey.from_pem(to_pem(key.private).decode()).kid == public.thumbprint


def test_a_pem_may_be_for_another_algorithm(forge):
    assert VerifyingKey.from_pem(pem(forge.rs), "PS512").algorithm == "PS512"
    assert SigningKey.from_pem(to_pem(forge.rs.private), algorithm="PS384").algorithm == "PS384"
    assert SigningKey.from_pem(to_pem(forge.ed.private), algorithm="Ed25519").algorithm == "Ed25519"
    with pytest.raises(UnusableKey):
        VerifyingKey.from_pem(pem(forge.rs), "ES256")
    with pytest.raises(UnusableKey):
        SigningKey.from_pem(to_pem(forge.es.private), algorithm="ES512")


def test_other_frames_for_rsa(forge):
    public = forge.rs.private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert VerifyingKey.from_pem(public, kid="rs") == forge.rs.verifying_key()
    old = forge.rs.private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert SigningKey.from_pem(old, kid="rs") == forge.rs
    certificate = ssl.DER_cert_to_PEM_cert(forge.rs.certificate)
    assert VerifyingKey.from_pem(certificate, kid="rs") == forge.rs.verifying_key()


@pytest.fixture(scope="session")
def odd_keys():
    return {
        "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505 - refused
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "P-224": ec.generate_private_key(ec.SECP224R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
        "DSA": dsa.generate_private_key(1024),  # noqa: S505 - refused
    }


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    "name", ["RSA of 1024 bits", "secp256k1", "P-224", "Ed448", "X25519", "DSA"]
)
def test_other_keys_are_none(odd_keys, name):
    with pytest.raises(UnusableKey):
        VerifyingKey.from_pem(public_pem(odd_keys[name]))
    with pytest.raises(UnusableKey):
        SigningKey.from_pem(to_pem(odd_keys[name]))


def test_an_rsa_key_with_another_exponent_is_sound():
    private = rsa.generate_private_key(3, 2048)
    assert SigningKey.from_pem(to_pem(private)).verifying_key().algorithm == "RS256"


NO_PEM = ["", "x", "-----BEGIN PUBLIC KEY-----", b"\xff\xfe", "\ud800", b"\0" * 100]


@pytest.mark.parametrize("text", NO_PEM, ids=str)
def test_what_is_no_pem_is_no_key(text):
    with pytest.raises(ValueError, match=r"^not a public key in PEM$"):
        VerifyingKey.from_pem(text)
    with pytest.raises(ValueError, match=r"^not a private key in PEM"):
        SigningKey.from_pem(text)


def test_public_and_private_are_not_mixed_up(forge):
    for key in (forge.rs, forge.es, forge.ed):
        with pytest.raises(UnusableKey, match="public"):
            VerifyingKey.from_pem(to_pem(key.private))
        with pytest.raises(UnusableKey, match="private"):
            SigningKey.from_pem(pem(key))
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(UnusableKey):
        VerifyingKey.from_pem(broken)


def test_a_pem_with_a_password_is_refused(forge):
    locked = to_pem(forge.es.private, BestAvailableEncryption(b"secret"))
    with pytest.raises(UnusableKey, match="password"):
        SigningKey.from_pem(locked)


# ── sets of keys ────────────────────────────────────────────────────────────────────────────────


def test_a_jwks_is_read_and_junk_is_skipped(forge):
    good = [forge.rs.public_jwk(), forge.es.public_jwk(), forge.ed.public_jwk()]
    junk = [None, 1, "x", [], {}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}, {"kty": ["RSA"]}]
    keys = KeySet.parse({"keys": [*junk, *good, {**forge.ps.public_jwk(), "use": "enc"}]})
    assert set(keys.keys) == {key.verifying_key() for key in (forge.rs, forge.es, forge.ed)}
    assert len(keys) == 3
    assert len(keys.skipped) == len(junk) + 1
    assert keys.skipped[0] == "keys[0]: not an object"
    assert keys.skipped[-1] == "keys[11]: a JWK that is not for signatures"


@pytest.mark.parametrize(
    "document",
    [
        None,
        1,
        "x",
        [],
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": "x"},
        {"Keys": []},
        {"kty": "EC"},
    ],
)
def test_what_is_no_jwks_is_refused(document):
    with pytest.raises(ValueError, match=r"^not a JWKS$"):
        KeySet.parse(document)


def test_a_jwks_has_an_end(forge):
    keys = [{**forge.es.public_jwk(), "kid": str(number)} for number in range(101)]
    assert len(KeySet.parse({"keys": keys[:100]})) == 100
    with pytest.raises(ValueError, match="too many"):
        KeySet.parse({"keys": keys})


def test_an_empty_jwks_has_no_keys():
    assert len(KeySet.parse({"keys": []})) == 0
    assert KeySet.parse({"keys": []}).find("x", "RS256") == ()
    assert KeySet().find(None, "ES256") == ()


def test_sets_are_equal_by_what_is_in_them(forge):
    a, b = forge.rs.verifying_key(), forge.es.verifying_key()
    assert KeySet((a, b)) == KeySet((b, a, a)) == KeySet((a, b), skipped=("x",))
    assert hash(KeySet((a, b))) == hash(KeySet((b, a)))
    assert KeySet((a,)) != KeySet((a, b))
    assert KeySet((a,)) != KeySet((replace(a, kid="other"),))
    assert KeySet((b,)) != KeySet((forge.evil_es.verifying_key(),))


class TestFind:
    """Which key a header means."""

    @pytest.fixture
    def es(self, forge):
        return forge.es.verifying_key()

    @pytest.fixture
    def other(self, forge):
        return replace(forge.evil_es.verifying_key(), kid="other")

    def test_the_kid_decides(self, forge, es, other):
        keys = KeySet((es, other, forge.rs.verifying_key()))
        assert keys.find("es", "ES256") == (es,)
        assert keys.find("other", "ES256") == (other,)
        assert keys.find("nobody", "ES256") == ()

    @pytest.mark.parametrize("alg", ["ES384", "RS256", "EdDSA", "HS256", "none", "", "es256"])
    def test_the_algorithm_has_to_be_the_keys(self, es, alg):
        assert KeySet((es,)).find("es", alg) == ()
        assert KeySet((es,)).find(None, alg) == ()

    def test_without_a_kid_the_only_key_of_the_algorithm_is_meant(self, forge, es, other):
        assert KeySet((es, forge.rs.verifying_key())).find(None, "ES256") == (es,)
        assert KeySet((es, other)).find(None, "ES256") == ()
        nameless = replace(es, kid=None)
        assert KeySet((nameless,)).find(None, "ES256") == (nameless,)

    def test_the_same_key_under_two_names_is_one_key(self, es):
        twin = replace(es, kid="twin")
        assert KeySet((es, twin)).find(None, "ES256") in {(es,), (twin,)}

    def test_a_key_without_a_kid_serves_if_nothing_else_can_be_meant(self, forge, es, other):
        nameless = replace(es, kid=None)
        assert KeySet((nameless,)).find("x", "ES256") == (nameless,)
        assert KeySet((nameless, forge.rs.verifying_key())).find("x", "ES256") == (nameless,)
        assert KeySet((nameless, forge.rs.verifying_key())).find("rs", "ES256") == ()
        assert KeySet((nameless, other)).find("x", "ES256") == ()
        assert KeySet((nameless, other)).find("other", "ES256") == (other,)

    def test_a_key_with_another_kid_never_serves(self, es):
        assert KeySet((es,)).find("x", "ES256") == ()
        assert KeySet((es,)).find("", "ES256") == ()

    def test_a_kid_used_twice_means_both(self, forge, es):
        twice = KeySet((es, forge.evil_es.verifying_key()))
        assert set(twice.find("es", "ES256")) == {es, forge.evil_es.verifying_key()}

    def test_one_kid_for_two_algorithms_means_the_one_asked_for(self, forge, es):
        rs = replace(forge.rs.verifying_key(), kid="es")
        assert KeySet((es, rs)).find("es", "ES256") == (es,)
        assert KeySet((es, rs)).find("es", "RS256") == (rs,)

    def test_ed25519_is_found_by_both_of_its_names(self, forge):
        for name in ("EdDSA", "Ed25519"):
            key = replace(forge.ed.verifying_key(), algorithm=name)
            for alg in ("EdDSA", "Ed25519"):
                assert KeySet((key,)).find("ed", alg) == (key,)
                assert KeySet((key,)).find(None, alg) == (key,)


# ── keys that sign ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_stored_key_comes_back(signing_keys, name):
    key = signing_keys[name]
    again = SigningKey.from_bytes(key.to_bytes())
    assert again == key
    assert again.public_jwk() == key.public_jwk()
    assert again.to_bytes() == key.to_bytes()
    compact = parse(again.sign(CLAIMS))
    assert key.verifying_key().verify(compact.signed, compact.signature)


def changed(data, **change):
    kept = {**json.loads(data), **change}
    return json.dumps({name: value for name, value in kept.items() if value is not ...}).encode()


@pytest.mark.parametrize("which", ["rs", "es", "ed"])
@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": ...},
        {"kid": ...},
        {"algorithm": "HS256"},
        {"algorithm": "ES384"},
        {"algorithm": ...},
        {"private": ""},
        {"private": "AAAA"},
        {"private": "not base64url!"},
        {"private": None},
        {"private": ...},
        {"certificate": "A"},
    ],
    ids=str,
)
def test_what_was_not_stored_by_us_is_refused(forge, which, change):
    data = getattr(forge, which).to_bytes()
    with pytest.raises(ValueError, match=r"^not a signing key of ours$"):
        SigningKey.from_bytes(changed(data, **change))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"-----BEGIN PRIVATE KEY-----"])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(ValueError, match=r"^not a signing key of ours$"):
        SigningKey.from_bytes(data)


def test_a_stored_rsa_key_whose_halves_do_not_fit_is_refused(forge):
    numbers, other = forge.rs.private.private_numbers(), forge.ps.private.private_numbers()
    mixed = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=other.d,
        dmp1=other.dmp1,
        dmq1=other.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    der = mixed.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match=r"^not a signing key of ours$"):
        SigningKey.from_bytes(changed(forge.rs.to_bytes(), private=b64(der)))


def test_nothing_shows_a_private_key(forge):
    for key in (forge.rs, forge.es, forge.ed):
        kept = json.loads(key.to_bytes())
        shown = repr(key) + str(key) + repr(key.verifying_key()) + repr(forge.keys)
        assert kept["private"] not in shown
        assert "private" not in shown
        assert json.dumps(key.public_jwk()).find(kept["private"][-40:]) == -1


def test_a_new_key_is_named_by_its_thumbprint():
    key = SigningKey.generate("ES256")
    assert key.kid == key.verifying_key().thumbprint == thumbprint(key.public_jwk())
    assert SigningKey.generate("ES256", kid="mine").kid == "mine"
    assert SigningKey.generate("ES256") != key


def test_a_key_may_sign_without_a_name(forge):
    nameless = replace(forge.es, kid="")
    token = nameless.sign(CLAIMS, typ="at+jwt")
    assert parse(token).header == {"alg": "ES256", "typ": "at+jwt"}
    assert "kid" not in nameless.public_jwk()
    keys = KeySet((nameless.verifying_key(),))
    assert verify(token, keys, EXPECTED, now=NOW) == CLAIMS


def test_the_kind_of_token_is_in_its_header(forge):
    for typ in ("at+jwt", "JWT", "at+jwt", "logout+jwt"):
        assert parse(forge.es.sign(CLAIMS, typ=typ)).header["typ"] == typ
    assert "typ" not in parse(forge.es.sign(CLAIMS, typ="")).header


@pytest.mark.parametrize("claims", [{"x": {1}}, {"x": object()}, {"x": b"x"}, {"x": "\ud800"}])
def test_claims_that_json_cannot_say_are_not_signed(forge, claims):
    with pytest.raises((TypeError, ValueError)):
        forge.es.sign(claims)


def test_keys_are_frozen(forge):
    with pytest.raises(FrozenInstanceError):
        forge.es.kid = "x"
    with pytest.raises(FrozenInstanceError):
        forge.es.verifying_key().algorithm = "none"


# ── the certificate ─────────────────────────────────────────────────────────────────────────────


def test_the_certificate_holds_the_key_and_signs_itself(forge):
    document = forge.rs.public_jwk()
    (encoded,) = document["x5c"]
    certificate = x509.load_der_x509_certificate(b64decode(encoded, validate=True))
    assert certificate.public_key() == forge.rs.private.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_after_utc.year == 9999
    assert certificate.serial_number.bit_length() <= 128


def test_the_certificate_is_the_same_every_time(forge):
    again = SigningKey.from_pem(to_pem(forge.rs.private), kid="another name")
    assert again.certificate == forge.rs.certificate
    assert SigningKey.from_pem(to_pem(forge.ps.private)).certificate != forge.rs.certificate
    assert forge.es.certificate == forge.ed.certificate == b""
