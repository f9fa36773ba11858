"""A real PKCS #11 library: keys that are made in a token, sign there, and never leave it."""

import asyncio
import os
import shutil
import sqlite3

import pkcs11
import pytest
from cryptography import x509
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from tests.docs import examples
from tests.hsm import MODULES, PIN
from tokenward.clock import now
from tokenward.jose.held import HeldKey
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet
from tokenward.server.holder import Holder
from tokenward.server.keyring import KeyRing
from tokenward.server.rotation import Periods, replaced, rotated
from tokenward.server.seal import Seal
from tokenward.server.settings import load
from tokenward.server.signers import SignerUnavailable
from tokenward.server.signers.pkcs11 import Pkcs11
from tokenward.server.stores import open_store

KEY = os.urandom(32)
EXPECTED = Expected(issuer="i", audience="a", algorithms=frozenset({"ES256", "RS256", "PS256"}))


@pytest.fixture
def token(softhsm):
    return softhsm.token()


@pytest.fixture
def held(softhsm, token):
    holders = []

    def held(**settings):
        about = {"module": softhsm.module, "token": token, "pin": PIN} | settings
        holders.append(Holder(signer=Pkcs11(**about)))
        return holders[-1]

    yield held
    for holder in holders:
        holder.close()


@pytest.fixture
async def store(tmp_path):
    store = open_store(f"sqlite:{tmp_path}/keys.db", now)
    await store.open()
    yield store
    await store.close()


def keyring(store, holder):
    holders = {} if holder is None else {"main": holder}
    return KeyRing(shelf=store.shelf, seal=Seal.of(KEY), holders=holders)


def claims():
    return {"iss": "i", "aud": "a", "exp": now() + 60}


def pair(softhsm, token, label, kind="EC"):
    """Make what an operator would make by hand."""
    library = pkcs11.lib(softhsm.module)
    library.reinitialize()  # it asks then which tokens there are
    with library.get_token(token_label=token).open(rw=True, user_pin=PIN) as session:
        if kind == "EC":
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
            parameters.generate_keypair(store=True, label=label)
        else:
            session.generate_keypair(KeyType.RSA, 2048, store=True, label=label)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256"])
async def test_a_ring_signs_in_the_token_what_its_jwks_verifies_after_a_restart_too(
    store, held, softhsm, token, algorithm
):
    ring = await keyring(store, held()).ring("main", algorithm)
    again = await keyring(store, held()).ring("main", algorithm)
    assert again.jwks() == ring.jwks()
    [key] = ring.jwks()["keys"]
    assert (key["alg"], key["use"], key["kid"]) == (algorithm, "sig", ring.keys[0].kid)
    assert not {"d", "p", "q"} & key.keys()
    for one in (ring, again):
        said = await one.sign(claims(), typ="at+jwt")
        assert verify(said, KeySet.parse(ring.jwks()), EXPECTED, now=now())["iss"] == "i"

    with pkcs11.lib(softhsm.module).get_token(token_label=token).open() as session:
        [private] = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        assert (private[Attribute.SENSITIVE], private[Attribute.EXTRACTABLE]) == (True, False)
        assert private.label.startswith(f"tokenward main {algorithm} ")


async def test_an_rsa_key_has_a_certificate_that_it_signed_itself(held):
    key = held().make("test", "RS256")
    certificate = x509.load_der_x509_certificate(key.certificate)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.public_key() == key.public.public
    assert certificate.subject.rfc4514_string() == f"CN={key.kid}"


async def test_the_store_has_the_public_half_and_nothing_else(store, held, tmp_path):
    ring = await keyring(store, held()).ring("main", "ES256")
    with sqlite3.connect(tmp_path / "keys.db") as database:
        [(place, sealed)] = [
            row[:2] for row in database.execute("SELECT * FROM shelf") if "ring/" in str(row[0])
        ]
    database.close()
    kept = Seal.of(KEY).open(sealed, place)
    assert b'"held"' in kept
    assert b'"key"' not in kept
    assert {*HeldKey.__slots__} >= {"public", "reference"}
    assert isinstance(ring.keys[0], HeldKey)


async def test_the_next_key_is_made_in_the_token(store, held):
    rings = keyring(store, held())
    ring = await rings.ring("main", "ES256")
    old = await ring.sign(claims(), typ="at+jwt")
    make = rings.maker("main", "ES256")
    await rings.change(
        "main", "ES256", lambda entries: replaced(entries, now(), Periods(keep=60), make)
    )
    new = await ring.sign(claims(), typ="at+jwt")
    assert len(ring.keys) == 2
    for said in (old, new):
        assert verify(said, ring.verifying(), EXPECTED, now=now())
    assert len({key.kid for key in ring.keys}) == 2


async def test_keys_move_into_a_token_and_out_of_it_again(store, held):
    first = await keyring(store, None).ring("main", "ES256")
    rings = keyring(store, held())
    ring = await rings.ring("main", "ES256")
    assert isinstance(ring.sign(claims(), typ="at+jwt"), str)  # until there is another key
    periods = Periods(keep=60)
    await rings.change(
        "main",
        "ES256",
        lambda entries: replaced(entries, now(), periods, rings.maker("main", "ES256")),
    )
    inside = await ring.sign(claims(), typ="at+jwt")

    back = keyring(store, None)
    ring = await back.ring("main", "ES256")
    with pytest.raises(SignerUnavailable, match="the settings do not name"):
        await ring.sign(claims(), typ="at+jwt")
    await back.change(
        "main",
        "ES256",
        lambda entries: replaced(entries, now(), periods, back.maker("main", "ES256")),
    )
    said = [first.sign(claims(), typ="at+jwt"), inside, ring.sign(claims(), typ="at+jwt")]
    assert all(verify(one, ring.verifying(), EXPECTED, now=now()) for one in said)


async def test_a_pair_made_by_hand_signs_until_another_label_is_named(store, held, softhsm, token):
    pair(softhsm, token, "hand 1")
    holder = held(label="hand 1")
    assert not holder.signer.makes_keys
    rings = keyring(store, holder)
    ring = await rings.ring("main", "ES256")
    step = rings.maker("main", "ES256")
    with pytest.raises(SignerUnavailable, match="no other key"):
        await rings.change(
            "main", "ES256", lambda entries: rotated(entries, now(), Periods(lead=60), step)
        )
    assert len(ring.keys) == 1

    pair(softhsm, token, "hand 2")
    rings = keyring(store, held(label="hand 2"))
    ring = await rings.ring("main", "ES256")
    step = rings.maker("main", "ES256")
    await rings.change("main", "ES256", lambda entries: rotated(entries, now(), Periods(), step))
    assert [key.reference for key in ring.keys] == ["hand 2", "hand 1"]
    said = await ring.sign(claims(), typ="at+jwt")
    assert verify(said, ring.verifying(), EXPECTED, now=now())


async def test_a_crowd_signs_and_every_signature_is_its_own(held):
    key = held().make("test", "ES256")
    keys = KeySet((key.verifying_key(),))
    said = await asyncio.gather(*(key.sign(claims() | {"n": n}, typ="at+jwt") for n in range(50)))
    assert [verify(one, keys, EXPECTED, now=now())["n"] for one in said] == [*range(50)]


async def test_two_issuers_share_a_token_and_a_crowd_of_each_signs(held):
    keys = [held().make(f"issuer {n}", "ES256") for n in range(2)]
    said = await asyncio.gather(*(keys[n % 2].sign(claims(), typ="at+jwt") for n in range(40)))
    for n, one in enumerate(said):
        assert verify(one, KeySet((keys[n % 2].verifying_key(),)), EXPECTED, now=now())


async def test_a_session_that_was_lost_is_opened_anew(held, softhsm):
    holder = held()
    key = holder.make("test", "ES256")
    pkcs11.lib(softhsm.module).reinitialize()
    said = await key.sign(claims(), typ="at+jwt")
    assert verify(said, KeySet((key.verifying_key(),)), EXPECTED, now=now())


async def test_a_token_that_was_taken_out_signs_again_once_it_is_back(held, softhsm, tmp_path):
    key = held().make("test", "ES256")
    away = tmp_path / "away"
    shutil.copytree(softhsm.tokens, away)
    for token in softhsm.tokens.iterdir():
        shutil.rmtree(token)
    pkcs11.lib(softhsm.module).reinitialize()
    for _ in range(2):
        with pytest.raises(SignerUnavailable, match="NoSuchToken") as caught:
            await key.sign(claims(), typ="at+jwt")
        assert caught.value.status == 503
        assert PIN not in caught.value.detail
    shutil.copytree(away, softhsm.tokens, dirs_exist_ok=True)
    said = await key.sign(claims(), typ="at+jwt")
    assert verify(said, KeySet((key.verifying_key(),)), EXPECTED, now=now())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"module": "/nonexistent.so"}, "cannot open shared object file"),
        ({"token": "another"}, "NoSuchToken"),
        ({"label": "nobody made it"}, "NoSuchKey"),
        ({"label": "hand rsa"}, "is of no use: the key is not for this algorithm"),
    ],
)
async def test_what_cannot_be_had_is_said(held, softhsm, token, settings, why):
    pair(softhsm, token, "hand rsa", "RSA")
    with pytest.raises(SignerUnavailable, match=why):
        held(**settings).make("test", "ES256")


async def test_an_algorithm_it_does_not_have_is_refused(held):
    with pytest.raises(SignerUnavailable, match="cannot sign with EdDSA"):
        held().make("test", "EdDSA")


async def test_a_wrong_pin_is_tried_once(held, softhsm, token):
    pkcs11.lib(softhsm.module).reinitialize()  # whoever was logged in is not any more
    holder = held(pin="0000-wrong")
    for _ in range(3):
        with pytest.raises(SignerUnavailable, match="refuses the PIN") as caught:
            holder.make("test", "ES256")
        assert "0000-wrong" not in caught.value.detail
    tokens = [path for path in softhsm.tokens.iterdir() if path.is_dir()]
    assert tokens
    for path in tokens:
        shutil.rmtree(path)  # nobody looks at the token any more, or this would be noticed
    with pytest.raises(SignerUnavailable, match="refuses the PIN"):
        holder.make("test", "ES256")


def test_the_file_on_the_page_can_be_used_as_it_stands(tmp_path):
    code = examples("docs/howto/keep-keys-in-an-hsm.md")["pkcs11"].code
    (tmp_path / "tokenward.toml").write_text(f'store = "sqlite:t.db"\n{code}')
    signer = load(tmp_path / "tokenward.toml", {"HSM_PIN": PIN}).issuers["main"].signer
    assert signer == Pkcs11(module=MODULES[0], token="tokenward", pin=PIN)


def test_the_pin_does_not_show(softhsm):
    assert PIN not in repr(Holder(signer=Pkcs11(module=softhsm.module, token="t", pin=PIN)))
