"""Keys as names: the vectors of real clients, every notation, and whatever is no name at all."""

import json
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PublicFormat

from tokenward.jose import identity, multibase
from tokenward.jose.identity import ALGORITHMS, KINDS, PrivateKey, PublicKey, UnusableKey
from tokenward.jose.jws import encode, parse
from tokenward.jose.keys import SigningKey

# Written by @textile/hub, go-threads and the clients of 2020; docs of the protocol have them all.
SEED = "bbaareqaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4b2cb576phbbpq5odorrz2lycmwpzgwgcn2kdk7dxoimzaskuy3q"  # noqa: E501
SEED_PUBLIC = "bbaareiadued3746occ7b24g5ddtuxqezm7snmme3uugv6ho4qzsbevjrxa"
SEED_SIGNATURE = (
    "14a27374b4e03fd642d77ecaf9b9d46e9e427d757314de98e72cbaf7586b245b"
    "feb02cce7054e43dab892e577b803ef3e73583db92856ee46e48f081eb35fa03"
)
GO_PUBLIC = "CAESIP1G8uGFpX+iduqgJfKLt0nw870MI9ydHcKg9gDIr5Tb"
GO_PRIVATE = "CAESYKcFG4UOHb1fyF+GlyGWfjfX47DH3y/K9fYMMMdy3Ow2/Uby4YWlf6J26qAl8ou3SfDzvQwj3J0dwqD2AMivlNv9RvLhhaV/onbqoCXyi7dJ8PO9DCPcnR3CoPYAyK+U2w=="  # noqa: E501
GO_TOKEN = "eyJhbGciOiJFZDI1NTE5IiwidHlwIjoiSldUIn0.eyJqdGkiOiJmb28iLCJzdWIiOiJiYXIifQ.E73qcBjcCSsYto_Pa5CpwZUu9lA3ecCVkZ8pJiFYNaOe2x-uZCDmZnx52AByO78oxft09GosVcJtqYNv1VBxDQ"  # noqa: E501
GO_FORGED = "7FSQFedbbRl42nvUWJqBswvjmyMaBBLKk0opiARjxtZmQ86dVMYs5wcZ0gItVV8YLVu6F5065IFD699tVcacBA"
HUB_PUBLIC = "bbaareih5i3zodbnfp6rhn2vaexzixn2j6dz32dbd3sor3qva6yamrl4u3m"
HUB_PRIVATE = "bbaareyfhaunykdq5xvp4qx4gs4qzm7rx27r3br67f7fpl5qmgddxfxhmg36un4xbqwsx7itw5kqcl4ulw5e7b455bqr5zhi5ykqpmagiv6knx7kg6lqyljl7uj3ovibf6kf3ospq6o6qyi64tuo4fihwadek7fg3"  # noqa: E501
OLD = "bbaareybytxpcujxljqg4tqrijeh737y6xnvsp42u4mhtcivjkitpyvxjl63knmrm3dmf2tlucoo7maibhejvhcmyr3ew5yvqtsyeq4q5lug53nvgwiwnrwc5jv2bhhpwaeatse2trgmi5slo4kyjzmcioiov2do5"  # noqa: E501
NEW = "bbaareqbytxpcujxljqg4tqrijeh737y6xnvsp42u4mhtcivjkitpyvxjl63knmrm3dmf2tlucoo7maibhejvhcmyr3ew5yvqtsyeq4q5lug52"  # noqa: E501
OLD_PUBLIC = "bbaareifwu2zczwgylvgxie456yaqcoitkoezrdwjn3rlbhfqjbzb2xin3u"
THREAD_KEYS = [
    "brv7t5l2h55uklz5qwpntcat26csaasfchzof3emmdy6povabcd3a2to2qdkqdkto2prfhizerqqudqsdvwherbiy4nazqxjejgdr4oy",
    "bp2vvqody5zm6yqycsnazb4kpqvycbdosos352zvpsorxce5koh7q",
]
DESCENDING = bytes(range(0xFF, 0xDF, -1))


@pytest.fixture(scope="session")
def keys(forge):
    """One of each kind; the RSA key is everybody's, because it takes long to make."""
    pem = forge.rs.private.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, NoEncryption()
    )
    made = {kind: PrivateKey.generate(kind) for kind in ("ed25519", "p256", "secp256k1")}
    return made | {"rsa": PrivateKey.from_string(pem.decode())}


def loaded(key):
    """The key of the crypto library behind a name, found the long way round."""
    data = multibase.decode(key.public.text)
    body = data[4 if data[3] < 0x80 else 5 :]
    match key.public.kind:
        case "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(body)
        case "secp256k1":
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), body)
    return serialization.load_der_public_key(body)


# ── what real clients have written ──────────────────────────────────────────────────────────────


def test_a_seed_of_the_hubs_clients_gives_their_key_and_their_signature():
    key = PrivateKey.from_string(SEED)
    assert key.public.to_string() == str(key.public) == SEED_PUBLIC
    assert key.public == PublicKey.from_string(SEED_PUBLIC)
    assert key.sign(DESCENDING).hex() == SEED_SIGNATURE
    assert key.public.verify(DESCENDING, bytes.fromhex(SEED_SIGNATURE))
    assert key.to_string() == SEED


@pytest.mark.parametrize(
    ("text", "public"), [(OLD, OLD_PUBLIC), (NEW, OLD_PUBLIC), (HUB_PRIVATE, HUB_PUBLIC)]
)
def test_both_forms_of_a_private_key_are_the_same_key(text, public):
    key = PrivateKey.from_string(text)
    assert key.public.text == public
    assert len(key.to_string()) == 110
    assert PrivateKey.from_string(key.to_string()) == key


def test_the_old_form_is_written_in_the_new_one():
    assert PrivateKey.from_string(OLD).to_string() == NEW


def test_the_keys_of_go_threads_are_read_in_their_base64_too():
    public = PublicKey.from_string("M" + GO_PUBLIC)
    assert public.text == HUB_PUBLIC
    assert PrivateKey.from_string("M" + GO_PRIVATE).public == public


def test_the_token_of_go_threads_fits_its_key():
    public = PublicKey.from_string(HUB_PUBLIC)
    token = parse(GO_TOKEN)
    assert public.fits(token.signed, token.signature)
    assert PrivateKey.from_string(HUB_PRIVATE).sign(token.signed) == token.signature
    forged = parse(f"{GO_TOKEN.rpartition('.')[0]}.{GO_FORGED}")
    assert not public.fits(forged.signed, forged.signature)


@pytest.mark.parametrize("text", THREAD_KEYS)
def test_the_key_of_a_thread_is_nobodys_name(text):
    with pytest.raises(UnusableKey):
        PublicKey.from_string(text)
    with pytest.raises(UnusableKey):
        PrivateKey.from_string(text)


# ── one key, many notations ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_key_survives_being_written(keys, kind):
    key = keys[kind]
    assert PrivateKey.from_string(key.to_string()) == key
    assert PrivateKey.from_string(f" {key.to_string()}\n") == key
    assert PublicKey.from_string(key.public.text) == key.public
    assert key.public.kind == kind
    assert key.public.algorithm == ALGORITHMS[kind]


def test_names_begin_as_the_protocol_says(keys):
    begins = {"ed25519": "bbaarei", "secp256k1": "bbabbe", "rsa": "bbaab", "p256": "bbabr"}
    assert {kind: key.public.text[: len(begins[kind])] for kind, key in keys.items()} == begins
    lengths = {kind: len(keys[kind].public.text) for kind in ("ed25519", "secp256k1")}
    assert lengths == {"ed25519": 59, "secp256k1": 61}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("base", "bBfFmMuU")
def test_every_base_says_the_same_key(keys, kind, base):
    public = keys[kind].public
    data = multibase.decode(public.text)
    assert PublicKey.from_string(base + multibase._BASES[base].write(data)) == public


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_base58_says_the_same_key(keys, kind):
    public = keys[kind].public
    assert PublicKey.from_string(multibase.encode_58(multibase.decode(public.text))) == public


def did(key):
    codec = {"ed25519": 0xED, "secp256k1": 0xE7, "p256": 0x1200, "rsa": 0x1205}[key.public.kind]
    public = loaded(key)
    match key.public.kind:
        case "ed25519":
            data = public.public_bytes_raw()
        case "rsa":
            data = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case _:
            data = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return "did:key:" + multibase.encode_58(multibase.numbered(codec) + data)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_did_key_says_the_same_key(keys, kind):
    begins = {"ed25519": "z6Mk", "secp256k1": "zQ3s", "p256": "zDn", "rsa": "z4MX"}[kind]
    assert did(keys[kind]).startswith("did:key:" + begins)
    assert PublicKey.from_string(did(keys[kind])) == keys[kind].public


def test_the_example_of_did_key_is_a_key():
    # The first example of the did:key method, and the same key as libp2p writes it.
    public = PublicKey.from_string("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
    raw = "2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6"
    assert public.text == multibase.encode(bytes.fromhex("08011220" + raw))


def jwk(key):
    public = loaded(key)
    match key.public.kind:
        case "ed25519":
            return {"kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes_raw())}
        case "rsa":
            numbers = public.public_numbers()
            size = (public.key_size + 7) // 8
            return {"kty": "RSA", "n": encode(numbers.n.to_bytes(size, "big")), "e": "AQAB"}
    numbers = public.public_numbers()
    x, y = (encode(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    crv = {"p256": "P-256", "secp256k1": "secp256k1"}[key.public.kind]
    return {"kty": "EC", "crv": crv, "x": x, "y": y}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_jwk_says_the_same_key(keys, kind):
    key = keys[kind]
    assert PublicKey.from_jwk(jwk(key)) == key.public
    said = jwk(key) | {"alg": key.public.algorithm, "use": "sig", "kid": "mine"}
    assert PublicKey.from_string(json.dumps(said)) == key.public


@pytest.mark.parametrize("kind", ["ed25519", "p256", "rsa"])
def test_openssh_says_the_same_key(keys, kind):
    line = loaded(keys[kind]).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert PublicKey.from_string(f"{line} ann@example.com\n") == keys[kind].public


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pem_says_the_same_key(keys, kind):
    pem = loaded(keys[kind]).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert PublicKey.from_string(pem.decode()) == keys[kind].public


# ── signatures ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_signature_fits_its_key_and_its_bytes_alone(keys, kind):
    key, other = keys[kind], PrivateKey.generate(kind if kind != "rsa" else "ed25519")
    signature = key.sign(b"these bytes")
    assert key.public.verify(b"these bytes", signature)
    assert not key.public.verify(b"those bytes", signature)
    assert not other.public.verify(b"these bytes", signature)
    for cut in (signature[:-1], signature + b"\0", b"", signature[::-1], bytes(len(signature))):
        assert not key.public.verify(b"these bytes", cut)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_written_as_jws_fits_as_jws(keys, kind):
    token = parse(keys[kind].write({"iss": "me"}, typ="x+jwt"))
    assert dict(token.header) == {"alg": ALGORITHMS[kind], "typ": "x+jwt"}
    assert keys[kind].public.fits(token.signed, token.signature)
    assert len(token.signature) == {"rsa": 256}.get(kind, 64)


def test_libp2ps_signatures_are_those_of_its_papers(keys):
    """ECDSA in DER over SHA-256, RSA as PKCS #1 v1.5, which the crypto library checks itself."""
    for kind, arguments in {
        "p256": (ec.ECDSA(hashes.SHA256()),),
        "secp256k1": (ec.ECDSA(hashes.SHA256()),),
        "rsa": (padding.PKCS1v15(), hashes.SHA256()),
        "ed25519": (),
    }.items():
        said = loaded(keys[kind]).verify(keys[kind].sign(b"raw"), b"raw", *arguments)
        assert said is None  # it would raise


@pytest.mark.parametrize("kind", ["p256", "secp256k1"])
def test_ours_have_the_smaller_of_two_numbers(keys, kind):
    order = {"p256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}[kind].group_order
    for number in range(20):
        _, s = decode_dss_signature(keys[kind].sign(b"%d" % number))
        assert s <= order // 2


@pytest.mark.parametrize("kind", ["p256", "secp256k1"])
def test_a_signature_written_otherwise_is_none(keys, kind):
    public, signature = keys[kind].public, keys[kind].sign(b"x")
    order = {"p256": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}[kind].group_order
    r, s = decode_dss_signature(signature)
    fixed = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert public.fits(b"x", fixed)
    spelled = {
        "two numbers, where DER belongs": fixed,
        "a length in two bytes": b"\x30\x81" + signature[1:],
        "r and the order": encode_dss_signature(r + order, s),
        "s and the order": encode_dss_signature(r, s + order),
        "nothing": encode_dss_signature(0, 0),
        "no r": encode_dss_signature(0, s),
        "no s": encode_dss_signature(r, 0),
        "more behind it": signature + b"\x00",
        "a negative number": b"\x30\x06\x02\x01\xff\x02\x01\x01",
        "far too large": encode_dss_signature(2**300, s),
    }
    assert [why for why, it in spelled.items() if public.verify(b"x", it)] == []
    assert not public.fits(b"x", signature)


def test_an_ed25519_signature_with_the_order_added_is_none(keys):
    key = keys["ed25519"]
    signature = key.sign(b"x")
    s = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    assert not key.public.verify(b"x", signature[:32] + s.to_bytes(32, "little"))


# ── what is no public key ───────────────────────────────────────────────────────────────────────


FIELD = 2**255 - 19
SMALL = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = sorted(
    {
        (y | sign << 255).to_bytes(32, "little").hex()
        for y in (0, 1, FIELD - 1, FIELD, FIELD + 1, SMALL, FIELD - SMALL)
        for sign in (0, 1)
    }
)


@pytest.mark.parametrize("raw", SMALL_ORDER)
def test_a_key_that_fits_any_message_is_nobodys(raw):
    data = bytes.fromhex(raw)
    spellings = [
        multibase.encode(b"\x08\x01\x12\x20" + data),
        "did:key:" + multibase.encode_58(b"\xed\x01" + data),
        json.dumps({"kty": "OKP", "crv": "Ed25519", "x": encode(data)}),
        "ssh-ed25519 " + b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + data).decode(),
    ]
    for text in spellings:
        with pytest.raises(UnusableKey):
            PublicKey.from_string(text)


@pytest.mark.parametrize("y", [2, 7, FIELD - 2, FIELD + 3, 2**255 - 1])
def test_what_is_no_point_on_the_curve_is_no_key(y):
    with pytest.raises(UnusableKey):
        PublicKey.from_string(multibase.encode(b"\x08\x01\x12\x20" + y.to_bytes(32, "little")))


def test_a_point_is_one_whichever_x_it_has():
    for number in range(30):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        raw = key.public_key().public_bytes_raw()
        for data in (raw, raw[:31] + bytes([raw[31] ^ 0x80])):
            text = multibase.encode(b"\x08\x01\x12\x20" + data)
            assert PublicKey.from_string(text).text == text


def message(number, data):
    return multibase.encode(bytes([8, number, 18]) + multibase.numbered(len(data)) + data)


ON_SECP = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
ED = multibase.decode(SEED_PUBLIC)
NO_PUBLIC_KEYS = {
    "nothing": "",
    "white space": " \n",
    "a letter": "b",
    "no base": "?aaaa",
    "not ASCII": "bbaareiadued3746occ7b24g5ddtuxqezm7snmme3uugv6ho4qzsbevjrxä",
    "cut off": SEED_PUBLIC[:-1],
    "cut off by a byte": multibase.encode(ED[:-1]),
    "a byte more": multibase.encode(ED + b"\0"),
    "capital letters": "b" + SEED_PUBLIC[1:].upper(),
    "padding": SEED_PUBLIC + "======",
    "bits that belong to nothing": SEED_PUBLIC[:-1] + "b",
    "a digit that base32 has not": "balkweop3jflk9f43lkjs9df2jlght94nzlkv93s",
    "base58 with a zero": "z0" + multibase.encode_58(ED)[1:],
    "base36": "k" + "a" * 50,
    "an identity in another order": multibase.encode(b"\x12\x20" + ED[4:] + b"\x08\x01"),
    "no type": multibase.encode(ED[2:]),
    "a type in two bytes": multibase.encode(b"\x08\x81\x00" + ED[2:]),
    "a length in two bytes": multibase.encode(ED[:3] + b"\xa0\x00" + ED[4:]),
    "a length that never ends": multibase.encode(ED[:3] + b"\xff" * 9 + ED[4:]),
    "another field": multibase.encode(ED + b"\x1a\x01x"),
    "an unknown type": message(4, ED[4:]),
    "an Ed25519 key of 31 bytes": message(1, ED[4:-1]),
    "an Ed25519 key of 33 bytes": message(1, ED[4:] + b"\0"),
    "another type than the key's": message(0, ED[4:]),
    "secp256k1 not compressed": message(2, b"\x04" + bytes(64)),
    "secp256k1 with no such x": message(2, b"\x02" + bytes(31) + b"\x05"),
    "secp256k1 with x too large": message(2, b"\x02" + b"\xff" * 32),
    "secp256k1 at infinity": message(2, b"\x00"),
    "secp256k1 of another prefix": message(2, b"\x06" + ON_SECP[1:]),
    "a private seed of the new form": SEED,
    "a private key of the old form": OLD,
    "a private key of secp256k1": message(2, b"\x01" * 32),
    "junk in DER": message(0, b"\x30\x03\x02\x01\x05"),
    "did:web": "did:web:example.com",
    "did:key with nothing": "did:key:",
    "did:key in base32": "did:key:" + SEED_PUBLIC,
    "did:key with a fragment": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK#z6Mk",
    "did:key of another kind": "did:key:" + multibase.encode_58(b"\xec\x01" + ED[4:]),
    "did:key of a short key": "did:key:" + multibase.encode_58(b"\xed\x01" + ED[5:]),
    "did:key that is no point": "did:key:" + multibase.encode_58(b"\xe7\x01\x02" + b"\xff" * 32),
    "did:key with a long number": "did:key:" + multibase.encode_58(b"\xed\x81\x00" + ED[4:]),
    "an SSH key of a kind we do not know": "ssh-dss AAAAB3NzaC1kc3MAAACBAP1",
    "an SSH key cut off": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF",
    "an SSH key of nothing": "ssh-ed25519 ",
    "JSON that is no object": '{"kty"',
    "a JWK of nothing": "{}",
    "a symmetric JWK": '{"kty":"oct","k":"AAAA"}',
    "a JWK for another algorithm": json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": encode(ED[4:]), "alg": "ES256"}
    ),
    "a JWK whose algorithm is a list": json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": encode(ED[4:]), "alg": ["EdDSA"]}
    ),
    "a JWK for encryption": json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": encode(ED[4:]), "use": "enc"}
    ),
    "a private JWK": json.dumps(
        {"kty": "OKP", "crv": "Ed25519", "x": encode(ED[4:]), "d": encode(ED[4:])}
    ),
    "a JWK off its curve": json.dumps(
        {"kty": "EC", "crv": "secp256k1", "x": encode(bytes(32)), "y": encode(bytes(32))}
    ),
    "a JWK on another curve": '{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}',
    "PEM of nothing": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
    "too long": "b" + "a" * 5000,
    "too long as JSON": "{" + " " * 5000 + "}",
    "too long in base58": "z" + "2" * 1025,
}


@pytest.mark.parametrize("why", NO_PUBLIC_KEYS)
def test_what_is_no_key_is_nobodys_name(why):
    text = NO_PUBLIC_KEYS[why]
    with pytest.raises(UnusableKey) as refused:
        PublicKey.from_string(text)
    said = str(refused.value)
    assert said
    assert len(text) < 20 or text[1:20] not in said


# ── what was read before ────────────────────────────────────────────────────────────────────────


def test_a_key_that_was_read_is_not_read_again(monkeypatch):
    text = PrivateKey.generate().public.text
    read, sound = [], identity._sound
    monkeypatch.setattr(identity, "_sound", lambda public: read.append(public) or sound(public))
    first = PublicKey.from_string(text)
    assert PublicKey.from_string(text) is first
    assert len(read) == 1
    assert PublicKey.from_string(f" {text}") == first, "another text, the same key"
    assert len(read) == 2


def test_what_is_refused_or_long_is_not_remembered(monkeypatch, keys):
    before = identity._remembered.cache_info().currsize
    for text in (*NO_PUBLIC_KEYS.values(), SEED, " " * 1_024 + keys["p256"].public.text):
        with suppress(UnusableKey):
            PublicKey.from_string(text)
    assert identity._remembered.cache_info().currsize == before
    assert identity._remembered.cache_info().maxsize == identity.REMEMBER
    assert len(keys["rsa"].public.text) < 1_024, "every name that a key can have is remembered"


@pytest.mark.parametrize("text", [SEED, OLD])
def test_who_shows_a_private_key_is_told_so(text, keys):
    with pytest.raises(UnusableKey, match="keep it to yourself"):
        PublicKey.from_string(text)
    with pytest.raises(UnusableKey, match="keep it to yourself"):
        PublicKey.from_string("-----BEGIN PRIVATE KEY-----\nx")


@pytest.fixture(scope="session")
def odd_keys():
    return {
        "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505 - refused
        "P-384": ec.generate_private_key(ec.SECP384R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
    }


@pytest.mark.parametrize("name", ["RSA of 1024 bits", "P-384", "Ed448", "X25519"])
def test_other_kinds_of_keys_are_nobodys(odd_keys, name):
    public = odd_keys[name].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private = odd_keys[name].private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, NoEncryption()
    )
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for text in (pem, message(0, der), message(3, der)):
        with pytest.raises(UnusableKey):
            PublicKey.from_string(text)
    with pytest.raises(UnusableKey):
        PrivateKey.from_string(private.decode())


def rsa_numbers(n, e):
    return json.dumps(
        {
            "kty": "RSA",
            "n": encode(n.to_bytes((n.bit_length() + 7) // 8, "big")),
            "e": encode(e.to_bytes((e.bit_length() + 7) // 8 or 1, "big")),
        }
    )


def test_an_rsa_key_that_is_not_sound_is_nobodys(forge):
    numbers = forge.rs.private.public_key().public_numbers()
    assert PublicKey.from_string(rsa_numbers(numbers.n, 3)).kind == "rsa"
    for n, e in (
        (numbers.n, 1),
        (numbers.n, 2),
        (numbers.n, 65536),
        (numbers.n, 2**65 + 1),
        (numbers.n + 1, 65537),
        (numbers.n >> 1 | 1, 65537),
        (numbers.n << 2049 | 1, 65537),
    ):
        with pytest.raises(UnusableKey):
            PublicKey.from_string(rsa_numbers(n, e))


# ── what is no private key ──────────────────────────────────────────────────────────────────────


NEW_DATA, OLD_DATA = multibase.decode(NEW)[4:], multibase.decode(OLD)[4:]
NO_PRIVATE_KEYS = {
    "nothing": "",
    "a public key": SEED_PUBLIC,
    "the public half of another key": message(1, NEW_DATA[:32] + ED[4:]),
    "another public half in the old form": message(1, OLD_DATA[:64] + ED[4:]),
    "another first public half in the old form": message(1, NEW_DATA[:32] + ED[4:] + NEW_DATA[32:]),
    "a seed alone": message(1, NEW_DATA[:32]),
    "a seed and a half": message(1, NEW_DATA[:48]),
    "cut off": NEW[:-1],
    "a byte more": message(1, NEW_DATA + b"\0"),
    "secp256k1 and zero": message(2, bytes(32)),
    "secp256k1 and its order": message(2, ec.SECP256K1().group_order.to_bytes(32, "big")),
    "secp256k1 of 31 bytes": message(2, b"\x01" * 31),
    "junk in DER": message(0, b"\x30\x03\x02\x01\x05"),
    "PEM of nothing": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
    "a DID": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    "too long": "b" + "a" * 5000,
}


@pytest.mark.parametrize("why", NO_PRIVATE_KEYS)
def test_what_is_no_private_key_is_refused_without_being_repeated(why):
    text = NO_PRIVATE_KEYS[why]
    with pytest.raises(UnusableKey) as refused:
        PrivateKey.from_string(text)
    assert len(text) < 20 or text[8:20] not in str(refused.value)


def test_a_private_key_of_another_type_than_it_says_is_refused(keys):
    p256 = multibase.decode(keys["p256"].to_string())
    with pytest.raises(UnusableKey):
        PrivateKey.from_string(multibase.encode(b"\x08\x00" + p256[2:]))


def test_a_private_key_with_a_password_is_refused(keys):
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(UnusableKey):
        PrivateKey.from_string(pem.decode())


def test_nobody_makes_a_key_of_an_unknown_kind():
    with pytest.raises(UnusableKey):
        PrivateKey.generate("ed448")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_private_key_does_not_show_itself(keys, kind):
    key = keys[kind]
    secret = key.to_string()
    for shown in (repr(key), str(key), f"{key!r}", repr([key])):
        assert key.public.text in shown
        assert secret not in shown
        assert secret[10:40] not in shown or secret[10:40] in key.public.text


def test_a_signing_key_of_ours_stays_what_it_was():
    """Keys that are names may be on one more curve; keys that sign tokens may not."""
    key = ec.generate_private_key(ec.SECP256K1())
    pem = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnusableKey):
        SigningKey.from_pem(pem)


def test_a_vector_is_what_its_base64_says():
    assert multibase.decode("M" + GO_PUBLIC) == b64decode(GO_PUBLIC)
