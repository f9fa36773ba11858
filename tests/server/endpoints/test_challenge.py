"""A key instead of a password, from the question to the token, and everybody who gets none."""

import asyncio
import json
from base64 import b64encode

import pytest

from tests.jose.test_identity import NO_PUBLIC_KEYS, SMALL_ORDER
from tests.world import FILE, JWT, SECRET, TOKEN_EXCHANGE, US, World, a_world, claims_of, lifespan
from tokenward.jose import keyproof, multibase
from tokenward.jose.identity import PrivateKey
from tokenward.jose.jws import decode, dump_object, encode, load_object

ANN, BOB, EVE = (PrivateKey.generate() for _ in range(3))
CAT, DAN = PrivateKey.generate("secp256k1"), PrivateKey.generate("p256")
REPORTS = "https://api.example.com/reports"
BEFORE = FILE.replace('to = "{audit}"', 'to = "{audit}"\nmode = "before"')
"""So that what the trail says can be read at once."""

KEYS = f"""
[callers.friends]
proof = "key"
keys  = ["{ANN.public}", "{BOB.public}", "{CAT.public}", "{DAN.public}"]
[callers.strangers]
proof   = "key"
anybody = true
types   = ["ed25519"]
subject = "raw"

[[allow]]
name   = "reports for friends"
caller = "friends"
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "orders for Ann"
caller = "friends"
claims = {{{{ key = "{ANN.public}", key_type = "ed25519" }}}}
token  = "orders"
scope  = "such_scope"
[[allow]]
name   = "models for anybody"
caller = "strangers"
token  = "models"
scope  = "itwin-platform"
[[allow]]
name   = "the platform for friends"
caller = "friends"
token  = "itwin"
scope  = "itwin-platform"
"""
FRIENDS_ONLY = KEYS.replace("anybody = true", f'keys = ["{PrivateKey.generate().public}"]')


@pytest.fixture
async def world(tmp_path):
    async with a_world(tmp_path, file=BEFORE + FRIENDS_ONLY) as world:
        yield world


@pytest.fixture
async def open_world(tmp_path):
    async with a_world(tmp_path, file=BEFORE + KEYS) as world:
        yield world


async def asked(world, key, *, path="/challenge", **more):
    """The question of an issuer to whoever says that this key is theirs."""
    answer = await world.http.post(path, data={"public_key": str(key.public), **more})
    assert answer.status_code == 200
    return answer.json()


async def answered(world, key, *, path="", issuer=US, client="", **more):
    """A question answered as it should be."""
    named = {"client_id": client} if client else {}
    said = await asked(world, key, path=f"{path}/challenge", **named)
    return keyproof.write(key, audience=issuer, nonce=said["nonce"], **more)


# ── from the question to the token ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [ANN, CAT, DAN], ids=["ed25519", "secp256k1", "p256"])
async def test_a_key_is_good_for_a_token(world, key):
    got = await world.exchange(await answered(world, key), audience=REPORTS)
    assert got.status_code == 200
    assert got.json()["issued_token_type"].endswith(":access_token")
    claims = claims_of(got.json()["access_token"])
    assert claims["sub"] == f"friends|{key.public}"
    assert (claims["client_id"], claims["scope"]) == ("friends", "reports:read")


async def test_the_question_says_how_to_answer(world):
    said = await asked(world, CAT)
    assert said == {
        "nonce": said["nonce"],
        "expires_in": 60,
        "public_key": str(CAT.public),
        "alg": "ES256K",
        "aud": US,
    }


def jwk(key):
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(multibase.decode(str(key.public))[4:])}


async def test_a_key_may_be_shown_in_any_notation(world):
    raw = multibase.decode(str(ANN.public))[4:]
    ssh = b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw).decode()
    for notation in (
        str(ANN.public),
        "did:key:" + multibase.encode_58(b"\xed\x01" + raw),
        f"ssh-ed25519 {ssh} ann@example.com",
        json.dumps(jwk(ANN)),
        jwk(ANN),
    ):
        answer = await world.http.post("/challenge", json={"public_key": notation})
        assert answer.json()["public_key"] == str(ANN.public)
        if isinstance(notation, str):
            answer = await world.http.post("/challenge", data={"public_key": notation})
            assert answer.json()["public_key"] == str(ANN.public)


async def test_a_question_is_not_to_be_kept_by_anybody_on_the_way(world):
    answer = await world.http.post("/challenge", data={"public_key": str(ANN.public)})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_million_questions_write_nothing(world):
    before = world.server.store.counts
    nonces = {(await asked(world, ANN))["nonce"] for _ in range(50)}
    assert len(nonces) == 50
    assert world.server.store.counts == before


async def test_one_answer_is_one_write(world):
    token = await answered(world, ANN)
    before = world.server.store.counts
    assert (await world.exchange(token, audience=REPORTS)).status_code == 200
    after = world.server.store.counts
    assert (after.writes - before.writes, after.reads - before.reads) == (1, 0)


async def test_rules_look_at_the_key(world):
    path, issuer = "/oauth2/orders", f"{US}/oauth2/orders"
    for key, status in ((ANN, 200), (BOB, 400)):
        token = await answered(world, key, path=path, issuer=issuer)
        got = await world.token(
            f"{path}/v1/token",
            auth=None,
            grant_type=TOKEN_EXCHANGE,
            subject_token=token,
            subject_token_type=JWT,
            audience="api://orders",
        )
        assert got.status_code == status


async def test_get_token_takes_a_key_too(world):
    got = await world.get_token(await answered(world, ANN), audience="itwin")
    assert got.status_code == 200
    assert got.text.startswith("Bearer ")


async def test_a_registered_client_may_bring_a_key(world):
    token = await answered(world, ANN, client="nightly")
    got = await world.exchange(token, auth=("nightly", SECRET), audience=REPORTS)
    assert claims_of(got.json()["access_token"])["client_id"] == "nightly"


async def test_a_key_may_be_an_assertion(world):
    token = await answered(world, ANN)
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    got = await world.token(auth=None, grant_type=grant, assertion=token, audience=REPORTS)
    assert got.status_code == 200


async def test_somebody_may_act_for_another_with_a_key_each(world):
    actor = {"actor_token": await answered(world, BOB), "actor_token_type": JWT}
    got = await world.exchange(await answered(world, ANN), audience=REPORTS, **actor)
    assert got.status_code == 200
    twice = await answered(world, ANN)
    actor = {"actor_token": twice, "actor_token_type": JWT}
    got = await world.exchange(twice, audience=REPORTS, **actor)
    assert got.json()["error"] == "invalid_grant"


async def test_anybody_is_their_key_and_known_ones_are_not_anybody(open_world):
    world = open_world
    path, issuer = "/ims", f"{US}/ims"
    subjects = {}
    for key in (EVE, ANN):
        token = await answered(world, key, path=path, issuer=issuer)
        got = await world.token(
            "/ims/connect/token",
            auth=None,
            grant_type=TOKEN_EXCHANGE,
            subject_token=token,
            subject_token_type=JWT,
            audience="https://models.example.com",
        )
        subjects[key] = got.json().get("access_token", got.json().get("error"))
    assert claims_of(subjects[EVE])["sub"] == str(EVE.public)
    assert subjects[ANN] == "invalid_target"  # a friend, and no rule gives friends models


async def test_the_trail_names_the_key_and_no_proof(tmp_path):
    async with a_world(tmp_path, file=BEFORE + FRIENDS_ONLY) as world:
        token = await answered(world, ANN)
        await world.exchange(token, audience=REPORTS)
    [event] = world.events()
    assert (event["outcome"], event["caller"]) == ("ok", "friends")
    assert event["subject"] == f"friends|{ANN.public}"
    assert token not in world.trail.read_text()
    assert token.split(".")[2] not in world.trail.read_text()


async def test_metadata_say_where_and_how(world):
    for path, begins in (
        ("", US),
        ("/ims", f"{US}/ims"),
        ("/oauth2/orders", f"{US}/oauth2/orders"),
    ):
        said = (await world.http.get(f"{path}/.well-known/oauth-authorization-server")).json()
        assert said["key_challenge_endpoint"] == f"{begins}/challenge"
        algorithms = ["ES256", "ES256K", "EdDSA", "RS256"]
        assert said["key_challenge_signing_alg_values_supported"] == algorithms


async def test_where_nobody_has_a_key_nobody_is_asked(tmp_path):
    async with a_world(tmp_path) as world:
        assert (await world.http.post("/challenge", data={"public_key": "x"})).status_code == 404
        said = (await world.http.get("/.well-known/oauth-authorization-server")).json()
        assert [name for name in said if "challenge_endpoint" in name] == []
        proof = keyproof.write(ANN, audience=US, nonce="n")
        got = await world.exchange(proof, audience=REPORTS)
        assert got.json()["error"] == "invalid_grant"


# ── whoever gets no question ────────────────────────────────────────────────────────────────────


async def test_who_shows_no_key_is_asked_nothing(world):
    for why, text in NO_PUBLIC_KEYS.items():
        for answer in (
            await world.http.post("/challenge", data={"public_key": text}),
            await world.http.post("/challenge", json={"public_key": text}),
        ):
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), why
            assert "nonce" not in answer.text, why
            assert len(text) < 20 or text[1:20] not in answer.text, why


async def test_who_shows_a_key_that_fits_everything_is_asked_nothing(world):
    for raw in SMALL_ORDER:
        text = multibase.encode(b"\x08\x01\x12\x20" + bytes.fromhex(raw))
        answer = await world.http.post("/challenge", data={"public_key": text})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), raw


@pytest.mark.parametrize("key", [ANN, CAT, DAN], ids=["ed25519", "secp256k1", "p256"])
async def test_who_shows_a_private_key_is_told_so_without_hearing_it_again(world, key):
    answer = await world.http.post("/challenge", data={"public_key": key.to_string()})
    assert answer.status_code == 400
    assert key.to_string() not in answer.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"public_key=", "application/x-www-form-urlencoded"),
        (b"client_id=x", "application/x-www-form-urlencoded"),
        (b"public_key=b&public_key=b", "application/x-www-form-urlencoded"),
        (b"public_key=%ff", "application/x-www-form-urlencoded"),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b'{"public_key": 1}', "application/json"),
        (b'{"public_key": null}', "application/json"),
        (b'{"public_key": ["b"]}', "application/json"),
        (b'{"public_key": {}}', "application/json"),
        (b'{"public_key": {"kty": "OKP", "crv": "Ed25519", "x": 1}}', "application/json"),
        (b'{"public_key": "b", "public_key": "b"}', "application/json"),
        (b'{"public_key": ', "application/json"),
        (f"public_key={ANN.public}".encode(), "text/plain"),
        (json.dumps({"public_key": str(ANN.public), "client_id": 7}).encode(), "application/json"),
        (f"public_key={ANN.public}&client_id={'x' * 1_025}".encode(),
         "application/x-www-form-urlencoded"),
    ],
    ids=[
        "nothing",
        "no key",
        "client only",
        "twice",
        "no utf-8",
        "no json",
        "a list",
        "a number",
        "null",
        "a key in a list",
        "an empty jwk",
        "a number in a jwk",
        "twice in json",
        "half of json",
        "text",
        "a number for a client",
        "a long client",
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(world, body, kind):
    answer = await world.http.post("/challenge", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["data", "json"])
async def test_a_key_in_the_url_is_refused(world, kind):
    said = {"public_key": str(ANN.public)}
    answer = await world.http.post("/challenge", params=said, **{kind: said})
    assert answer.status_code == 400


async def test_only_post_asks(world):
    assert (await world.http.get("/challenge")).status_code == 405


# ── whoever gets no token ───────────────────────────────────────────────────────────────────────


def spelled(token, **claims):
    """The same proof, saying something else, with its old signature."""
    head, payload, signature = token.split(".")
    said = {**load_object(decode(payload)), **claims}
    return f"{head}.{encode(dump_object(said))}.{signature}"


def flipped(token, part, position):
    """The same proof with one bit changed."""
    parts = token.split(".")
    data = bytearray(decode(parts[part]))
    data[position] ^= 1
    parts[part] = encode(bytes(data))
    return ".".join(parts)


async def signed(world, key, *, by=None, typ=keyproof.TYP, path="", client="", **claims):
    """What a key signs who may say anything."""
    named = {"client_id": client} if client else {}
    nonce = (await asked(world, key, path=f"{path}/challenge", **named))["nonce"]
    said = {"iss": str(key.public), "sub": str(key.public), "aud": US, "nonce": nonce, **claims}
    return (by or key).write(said, typ=typ)


async def der(world):
    """A signature of secp256k1 as libp2p writes it."""
    signed, _, _ = (await answered(world, CAT)).rpartition(".")
    return f"{signed}.{encode(CAT.sign(signed.encode()))}"


NOES = {
    "another key signs": lambda w: signed(w, ANN, by=EVE),
    "another key's question": lambda w: signed(
        w, EVE, by=ANN, iss=str(ANN.public), sub=str(ANN.public)
    ),
    "a key that nobody trusts": lambda w: signed(w, EVE),
    "another purpose": lambda w: signed(w, ANN, typ="JWT"),
    "an access token's purpose": lambda w: signed(w, ANN, typ="at+jwt"),
    "a proof for DPoP": lambda w: signed(w, ANN, typ="dpop+jwt"),
    "another server": lambda w: signed(w, ANN, aud="https://tokens.example.org"),
    "another issuer of ours": lambda w: signed(w, ANN, aud=f"{US}/ims"),
    "another issuer's question": lambda w: signed(w, ANN, path="/ims"),
    "another issuer's question, for it": lambda w: signed(w, ANN, path="/ims", aud=f"{US}/ims"),
    "the server with a slash": lambda w: signed(w, ANN, aud=f"{US}/"),
    "several servers": lambda w: signed(w, ANN, aud=[US]),
    "another client's question": lambda w: signed(w, ANN, client="nightly"),
    "a nonce of one's own": lambda w: signed(w, ANN, nonce=encode(bytes(56))),
    "no nonce": lambda w: signed(w, ANN, nonce=""),
    "a short nonce": lambda w: signed(w, ANN, nonce=encode(bytes(30))),
    "a nonce that is none": lambda w: signed(w, ANN, nonce="?"),
    "somebody else's name": lambda w: signed(w, ANN, sub=str(BOB.public)),
    "over by its own word": lambda w: signed(w, ANN, exp=w.clock() - 3_600),
    "not yet by its own word": lambda w: signed(w, ANN, nbf=w.clock() + 3_600),
    "another kind of signature": der,
}


async def refused(world, token):
    """What who shows this hears, and that nobody was asked and nothing written."""
    before = world.server.store.counts.writes
    got = await world.exchange(token, audience=REPORTS)
    assert world.server.store.counts.writes == before
    assert world.upstream.questions == []
    assert world.events()[-1]["outcome"] == "refused"
    return got.status_code, got.json()


NOBODY = {
    "error": "invalid_grant",
    "error_description": "nobody we trust vouches for this token",
}


@pytest.mark.parametrize("why", NOES)
async def test_who_answers_otherwise_gets_nothing(world, why):
    status, said = await refused(world, await NOES[why](world))
    assert status == 400
    too_old = {**NOBODY, "error_description": "the token has expired"}
    assert said == (too_old if why == "over by its own word" else NOBODY)


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_no_bit_of_an_answer_may_change(world, part):
    token = await answered(world, ANN)
    for position in range(0, len(decode(token.split(".")[part])), 7):
        changed = flipped(token, part, position)
        got = await world.exchange(changed, audience=REPORTS)
        assert got.json()["error"] == "invalid_grant"
    assert (await world.exchange(token, audience=REPORTS)).status_code == 200


async def test_no_bit_of_a_question_may_change(world):
    nonce = (await asked(world, ANN))["nonce"]
    for position in range(56):
        data = bytearray(decode(nonce))
        data[position] ^= 0x10
        token = keyproof.write(ANN, audience=US, nonce=encode(bytes(data)))
        assert (await refused(world, token)) == (400, NOBODY)
    longer = keyproof.write(ANN, audience=US, nonce=encode(decode(nonce) + b"\0"))
    assert (await refused(world, longer)) == (400, NOBODY)


async def test_an_answer_cut_off_anywhere_is_none(world):
    token = await answered(world, ANN)
    for length in range(1, len(token), 11):
        got = await world.exchange(token[:length], audience=REPORTS)
        assert got.json()["error"] == "invalid_grant"


async def test_an_answer_is_good_once(world):
    token = await answered(world, ANN)
    assert (await world.exchange(token, audience=REPORTS)).status_code == 200
    assert (await world.exchange(token, audience=REPORTS)).json() == NOBODY
    assert world.events()[-1]["detail"].startswith("key: answered before, by bbaarei")


async def test_the_twin_of_a_signature_is_the_same_answer(world):
    """(r, n - s) fits wherever (r, s) does; the question is answered all the same."""
    token = await answered(world, CAT)
    signed, _, signature = token.rpartition(".")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, s = decode(signature)[:32], int.from_bytes(decode(signature)[32:], "big")
    twin = f"{signed}.{encode(r + (order - s).to_bytes(32, 'big'))}"
    assert (await world.exchange(token, audience=REPORTS)).status_code == 200
    assert (await world.exchange(twin, audience=REPORTS)).json() == NOBODY


async def test_an_answer_is_late_after_a_minute_and_not_before(world):
    early, late = await answered(world, ANN), await answered(world, ANN)
    world.clock.at += 59.9
    assert (await world.exchange(early, audience=REPORTS)).status_code == 200
    world.clock.at += 0.1
    status, said = await refused(world, late)
    assert (status, said["error"]) == (400, "invalid_grant")
    assert said["error_description"] == "the token has expired"


async def test_what_was_answered_is_remembered_for_longer_than_it_is_believed(world):
    token = await answered(world, ANN)
    assert (await world.exchange(token, audience=REPORTS)).status_code == 200
    world.clock.at += 119  # another process, whose clock is a minute behind, would believe it
    assert len(await world.server.store.shelf.keys("challenge/")) == 1
    world.clock.at += 2
    assert await world.server.store.shelf.keys("challenge/") == []


async def test_a_signature_as_a_hub_wants_it_is_worth_nothing_here(world):
    """The Hub's clients sign the bare bytes they are sent; who sends them our nonce has that."""
    nonce = (await asked(world, ANN))["nonce"]
    for bare in (ANN.sign(nonce.encode()), ANN.sign(decode(nonce))):
        for token in (encode(bare), f"{nonce}.{encode(bare)}", f"{nonce}..{encode(bare)}"):
            assert (await refused(world, token)) == (400, NOBODY)
        head, payload, _ = keyproof.write(ANN, audience=US, nonce=nonce).split(".")
        assert (await refused(world, f"{head}.{payload}.{encode(bare)}")) == (400, NOBODY)


async def test_of_a_registered_client_nobody_else_can_answer(world):
    """Neither nobody, nor another client, nor the client for nobody."""
    for client, auth in (("nightly", None), ("", ("nightly", SECRET))):
        token = await answered(world, ANN, client=client)
        got = await world.exchange(token, auth=auth, audience=REPORTS)
        assert got.json()["error"] == "invalid_grant"


async def test_get_token_takes_no_answer_twice_and_none_for_a_stranger(world):
    token = await answered(world, ANN)
    assert (await world.get_token(token, audience="itwin")).status_code == 200
    asked = len(world.upstream.questions)
    assert (await world.get_token(token, audience="itwin")).status_code == 401
    assert (await world.exchange(token, audience=REPORTS)).json() == NOBODY
    assert (await world.get_token(await answered(world, EVE), audience="itwin")).status_code == 401
    assert len(world.upstream.questions) == asked


async def test_what_cannot_be_remembered_is_not_accepted(tmp_path):
    async with a_world(
        tmp_path, file=BEFORE + FRIENDS_ONLY, store=f"sqlite:///{tmp_path}/kept.db"
    ) as world:
        token = await answered(world, ANN)
        await world.server.store.close()
        got = await world.exchange(token, audience=REPORTS)
        assert got.status_code == 503
        await world.server.store.open()
        assert (await world.exchange(token, audience=REPORTS)).status_code == 200


async def test_of_a_hundred_at_once_on_two_servers_one_is_answered(tmp_path):
    store = f"sqlite:///{tmp_path}/kept.db"
    async with a_world(tmp_path, file=BEFORE + FRIENDS_ONLY, store=store) as one:
        folder = tmp_path / "other"
        folder.mkdir()
        other = World(folder, one.friend, one.upstream, store=store, file=BEFORE + FRIENDS_ONLY)
        other.clock = one.clock
        async with lifespan(other.app), other.http:
            for _ in range(3):
                token = await answered(one, ANN)
                got = await asyncio.gather(
                    *(
                        (one, other)[number % 2].exchange(token, audience=REPORTS)
                        for number in range(100)
                    )
                )
                statuses = [answer.status_code for answer in got]
                assert (statuses.count(200), statuses.count(400)) == (1, 99)
