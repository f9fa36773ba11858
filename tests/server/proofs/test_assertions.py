"""Clients that sign: once, for us, not for long, and with nothing that anybody else could have."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from tests.fuzz.targets.jws import part as encoded
from tests.servers import Issuer
from tests.world import FILE, US
from tokenward.jose.keys import SigningKey
from tokenward.server import assertions

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECRET = "a-secret-that-both-sides-know-" + "x" * 20
KEY = SigningKey.generate("ES256", kid="k1")
OTHER = SigningKey.generate("ES256", kid="k1")
ED = SigningKey.generate("EdDSA", kid="k2")
RSA = SigningKey.generate("RS256", kid="k3")


def keys(*found):
    return json.dumps({"keys": [key.public_jwk() for key in found]}).replace('":', '" =')


CLIENTS = f"""
[callers.signer]
proof = "private_key_jwt"
keys = {keys(KEY, ED, RSA)}
[callers.twin]
proof = "private_key_jwt"
keys = {keys(KEY)}
[callers.old]
proof = "private_key_jwt"
keys = {keys(KEY)}
audience = ["https://tokens.example.com/token"]
[callers.hmac]
proof = "client_secret_jwt"
secrets = ["{SECRET}", "{SECRET}2"]
[callers.asker]
proof = "private_key_jwt"
keys = {keys(KEY)}
grant_types = []
[[allow]]
caller = "*"
token = "reports"
scope = "reports:read"
[[allow]]
caller = "*"
token = "models"
scope = "itwin-platform"
"""
FILE_WITH_CLIENTS = FILE.replace(
    'url = "https://tokens.example.com"\n',
    'url = "https://tokens.example.com"\nclient_secret_jwt = true\n',
    1,
).replace('introspectors = ["reports-api"]', 'introspectors = ["reports-api", "asker"]', 1) + (
    CLIENTS.replace("{", "{{").replace("}", "}}")
)


@pytest.fixture
async def world(worlds):
    async with worlds(file=FILE_WITH_CLIENTS) as world:
        yield world


class Jti:
    number = 0


def claims(world, client="signer", **changed):
    Jti.number += 1
    now = int(world.clock())
    said = {
        "iss": client,
        "sub": client,
        "aud": US,
        "iat": now,
        "exp": now + 60,
        "jti": f"jti-{Jti.number}",
    }
    said |= changed
    return {name: value for name, value in said.items() if value is not ...}


async def ask(world, assertion, path="/token", **form):
    form = {"client_assertion": assertion, "client_assertion_type": KIND} | form
    return await world.token(path, auth=None, **{k: v for k, v in form.items() if v is not ...})


REFUSED = {
    "error": "invalid_client",
    "error_description": "client authentication failed",
}


def is_refused(answer):
    return answer.status_code == 401 and answer.json()["error"] == "invalid_client"


# ── yes ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [KEY, ED, RSA], ids=["ES256", "EdDSA", "RS256"])
async def test_a_client_may_sign_with_any_of_its_keys(world, key):
    answer = await ask(world, key.sign(claims(world)))
    assert answer.status_code == 200
    assert answer.json()["scope"] == "reports:read"


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": ...},
        {"nbf": 0},
        {"exp_in": 1},
        {"exp_in": 3_600},
        {"iat_in": 9},
        {"nbf_in": 9},
        {"exp_in": -9},
        {"extra": {"a": [1]}},
        {"jti": "x" * 1_000},
    ],
)
async def test_what_a_client_may_say(world, changed):
    now = int(world.clock())
    changed = {
        name.removesuffix("_in"): now + value if name.endswith("_in") else value
        for name, value in changed.items()
    }
    if changed.get("exp", now + 1) <= now:
        changed["iat"] = now - 20
    assert (await ask(world, KEY.sign(claims(world, **changed)))).status_code == 200


@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt", "jwt"])
async def test_which_types_an_assertion_may_have(world, typ):
    assert (await ask(world, KEY.sign(claims(world), typ=typ))).status_code == 200


async def test_the_form_may_name_the_client_too(world):
    assert (await ask(world, KEY.sign(claims(world)), client_id="signer")).status_code == 200


async def test_a_client_may_be_allowed_another_audience(world):
    token_endpoint = "https://tokens.example.com/token"
    said = claims(world, "old", aud=token_endpoint)
    assert (await ask(world, KEY.sign(said))).status_code == 200
    assert (await ask(world, KEY.sign(claims(world, "old")))).status_code == 200
    assert is_refused(await ask(world, KEY.sign(claims(world, aud=token_endpoint))))


async def test_each_issuer_is_its_own_audience(world):
    ims = f"{US}/ims"
    answer = await ask(world, KEY.sign(claims(world, aud=ims)), "/ims/connect/token")
    assert answer.status_code == 200
    assert is_refused(await ask(world, KEY.sign(claims(world)), "/ims/connect/token"))
    assert is_refused(await ask(world, KEY.sign(claims(world, aud=ims))))


async def test_a_resource_server_may_sign_when_it_introspects(world):
    token = (await ask(world, KEY.sign(claims(world)))).json()["access_token"]
    said = KEY.sign(claims(world, "asker"))
    form = {"client_assertion": said, "client_assertion_type": KIND, "token": token}
    assert (await world.http.post("/introspect", data=form)).json()["active"] is True
    again = await world.http.post("/introspect", data=form)
    assert is_refused(again)


async def test_keys_may_be_where_the_client_publishes_them(worlds):
    issuer = Issuer(KEY)
    with issuer.serving() as served:
        file = FILE + (
            '[callers.far]\nproof = "private_key_jwt"\n'
            f'jwks_uri = "{served.url.rstrip("/")}/jwks"\n'
            '[[allow]]\ncaller = "far"\ntoken = "reports"\nscope = "reports:read"\n'
        )
        async with worlds(file=file) as world:
            assert (await ask(world, KEY.sign(claims(world, "far")))).status_code == 200
            unknown = SigningKey.generate("ES256", kid="k9")
            assert is_refused(await ask(world, unknown.sign(claims(world, "far"))))


async def test_keys_that_cannot_be_had_are_an_outage_and_not_a_refusal(worlds):
    file = FILE + (
        '[callers.far]\nproof = "private_key_jwt"\njwks_uri = "http://127.0.0.1:1/jwks"\n'
        '[[allow]]\ncaller = "far"\ntoken = "reports"\nscope = "reports:read"\n'
    )
    async with worlds(file=file) as world:
        answer = await ask(world, KEY.sign(claims(world, "far")))
    assert answer.status_code == 503
    assert answer.json()["error"] == "temporarily_unavailable"
    assert int(answer.headers["retry-after"]) >= 1


# ── no: what it says ─────────────────────────────────────────────────────────────────────────────


NEAR_MISSES = {
    "another issuer": {"iss": "twin"},
    "no issuer": {"iss": ...},
    "an issuer in a list": {"iss": ["signer"]},
    "another subject": {"sub": "twin"},
    "no subject": {"sub": ...},
    "an empty subject": {"sub": ""},
    "nobody": {"iss": "nobody", "sub": "nobody"},
    "no audience": {"aud": ...},
    "another audience": {"aud": "https://tokens.example.com/token"},
    "the audience with a slash": {"aud": US + "/"},
    "the audience in upper case": {"aud": US.upper()},
    "a list with the audience": {"aud": [US]},
    "a list with others": {"aud": [US, "https://other.example"]},
    "an empty list": {"aud": []},
    "an audience that begins so": {"aud": US + ".evil.example"},
    "no expiry": {"exp": ...},
    "an expiry in words": {"exp": "tomorrow"},
    "no number": {"exp": None},
    "expired": {"exp_in": -11, "iat_in": -60},
    "expiring after an hour and more": {"exp_in": 3_611},
    "expiring in a year": {"exp_in": 31_536_000},
    "in milliseconds": {"exp": 4_000_000_000_000},
    "not yet": {"nbf_in": 11},
    "from the future": {"iat_in": 11},
    "from far in the future": {"iat_in": 61},
    "expiring before it was made": {"iat_in": 5, "exp_in": 4},
    "no jti": {"jti": ...},
    "an empty jti": {"jti": ""},
    "a jti that is a number": {"jti": 7},
    "a jti that is a list": {"jti": ["a"]},
    "a jti too long": {"jti": "x" * 1_025},
}


@pytest.mark.parametrize("changed", NEAR_MISSES.values(), ids=NEAR_MISSES)
async def test_what_a_client_must_not_say(world, changed):
    now = int(world.clock())
    changed = {
        name.removesuffix("_in"): now + value if name.endswith("_in") else value
        for name, value in changed.items()
    }
    answer = await ask(world, KEY.sign(claims(world, **changed)))
    assert is_refused(answer)
    assert "signer" not in answer.text


def raw(header, said, signature):
    return b".".join(map(encoded, (json.dumps(header).encode(), json.dumps(said).encode()))) + (
        b"." + encoded(signature)
    )


def hs(said, secret, **header):
    head = {"alg": "HS256", "typ": "JWT"} | header
    signed = raw(head, said, b"").rpartition(b".")[0]
    return (signed + b"." + encoded(hmac.digest(secret, signed, "sha256"))).decode()


PUBLIC = json.dumps(KEY.public_jwk()).encode()

FORGED = {
    "another key with the same id": OTHER.sign,
    "no signature": lambda said: raw({"alg": "none"}, said, b"").decode(),
    "none with a key id": lambda said: raw({"alg": "none", "kid": "k1"}, said, b"").decode(),
    "HS256 with the public key": lambda said: hs(said, PUBLIC, kid="k1"),
    "HS256 with nothing": lambda said: hs(said, b""),
    "zeros": lambda said: raw({"alg": "ES256", "kid": "k1"}, said, b"\0" * 64).decode(),
    "an access token's type": lambda said: KEY.sign(said, typ="at+jwt"),
    "an ID token's type": lambda said: KEY.sign(said, typ="id+jwt"),
    "a proof of possession's type": lambda said: KEY.sign(said, typ="dpop+jwt"),
    "its own key in the header": lambda said: raw(
        {"alg": "ES256", "jwk": OTHER.public_jwk()}, said, b"\1" * 64
    ).decode(),
    "an address of keys in the header": lambda said: raw(
        {"alg": "ES256", "jku": "http://127.0.0.1:1/jwks"}, said, b"\1" * 64
    ).decode(),
    "a blank behind it": lambda said: KEY.sign(said) + " ",
    "padding": lambda said: KEY.sign(said) + "=",
    "a part too many": lambda said: KEY.sign(said) + ".e30",
    "no JWT": lambda _: "x",
    "two dots": lambda _: "..",
    "five parts": lambda _: "a.b.c.d.e",
    "a very long one": lambda _: "a" * 20_000,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_what_nobody_signed_is_refused(world, forge):
    assert is_refused(await ask(world, forge(claims(world))))


async def test_the_key_of_another_client_is_not_good(world):
    """The twin's assertion names the twin, and so does its place in the memory of jti."""
    said = claims(world, "twin")
    assert (await ask(world, KEY.sign(said))).status_code == 200
    assert is_refused(await ask(world, KEY.sign(claims(world, "twin")), client_id="signer"))


async def test_a_token_of_ours_is_no_assertion(world):
    token = (await world.token()).json()["access_token"]
    assert is_refused(await ask(world, token))


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion_type": ...},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
    ],
)
async def test_an_assertion_needs_its_type(world, form):
    assert is_refused(await ask(world, KEY.sign(claims(world)), **form))


async def test_a_client_that_signs_cannot_show_a_secret_or_only_its_name(world):
    assert is_refused(await world.token(auth=("signer", "x")))
    assert is_refused(await world.token(auth=None, client_id="signer", client_secret="x"))
    assert is_refused(await world.token(auth=None, client_id="signer"))


async def test_a_client_with_a_secret_cannot_sign(world):
    assert is_refused(await ask(world, KEY.sign(claims(world, "nightly"))))


async def test_two_ways_at_once_are_refused(world):
    form = {"client_assertion": KEY.sign(claims(world)), "client_assertion_type": KIND}
    answer = await world.token(auth=("signer", "x"), **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = await world.token(auth=None, client_id="signer", client_secret="x", **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_all_refusals_sound_the_same(world):
    heard = {
        (answer.status_code, answer.content)
        for answer in [
            await ask(world, KEY.sign(claims(world, "nobody"))),
            await ask(world, OTHER.sign(claims(world))),
            await ask(world, KEY.sign(claims(world, aud="x"))),
            await ask(world, "x"),
        ]
    }
    assert len(heard) == 1


# ── once ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_assertion_is_good_once(world):
    said = KEY.sign(claims(world))
    assert (await ask(world, said)).status_code == 200
    assert is_refused(await ask(world, said))


async def test_it_is_the_jti_that_is_spent_and_not_the_spelling(world):
    """ECDSA can sign the same claims in as many ways as one likes."""
    said = claims(world)
    first, second = KEY.sign(said), KEY.sign(said)
    assert first != second
    assert (await ask(world, first)).status_code == 200
    assert is_refused(await ask(world, second))


async def test_a_jti_belongs_to_its_client(world):
    one, two = claims(world, jti="same"), claims(world, "twin", jti="same")
    assert (await ask(world, KEY.sign(one))).status_code == 200
    assert (await ask(world, KEY.sign(two))).status_code == 200


async def test_no_two_pairs_of_client_and_jti_are_taken_for_each_other(world):
    """ "a" with "bc" is not "ab" with "c"."""
    said = claims(world, jti="x")
    await ask(world, KEY.sign(said))
    [kept] = await world.server.store.shelf.keys("jti/")
    assert kept == "jti/" + sha256(b"6:signerx").hexdigest()


async def test_of_a_hundred_at_once_one_is_good(world):
    said = KEY.sign(claims(world))
    answers = await asyncio.gather(*(ask(world, said) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 99


async def test_what_was_refused_is_not_spent(world):
    """Else anybody could spend what somebody else is about to use."""
    jti = claims(world)["jti"]
    assert is_refused(await ask(world, OTHER.sign(claims(world, jti=jti))))
    assert is_refused(await ask(world, KEY.sign(claims(world, jti=jti, aud="x"))))
    assert (await ask(world, KEY.sign(claims(world, jti=jti)))).status_code == 200


async def test_the_memory_is_longer_than_anybody_would_believe_it(world):
    now = int(world.clock())
    said = KEY.sign(claims(world, exp=now + 60))
    assert (await ask(world, said)).status_code == 200
    for seconds in (59, 60, 69, 70, 71, 120):
        world.clock.at = now + seconds
        assert is_refused(await ask(world, said))
        kept = bool(await world.server.store.shelf.keys("jti/"))
        assert kept is (now + seconds < now + 60 + assertions.LEEWAY + assertions.MARGIN)


async def test_an_assertion_costs_one_write(world):
    before = world.server.store.counts
    assert (await ask(world, KEY.sign(claims(world)))).status_code == 200
    after = world.server.store.counts
    assert (after.reads - before.reads, after.writes - before.writes) == (0, 1)


async def test_without_a_memory_nothing_is_accepted(worlds, tmp_path):
    async with worlds(file=FILE_WITH_CLIENTS, store=f"sqlite://{tmp_path}/t.db") as world:
        await world.server.store.close()
        answer = await ask(world, KEY.sign(claims(world)))
        assert answer.status_code == 503
        await world.server.store.open()
        assert (await ask(world, KEY.sign(claims(world)))).status_code == 200


# ── client_secret_jwt ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secret", [SECRET, SECRET + "2"])
async def test_a_secret_may_sign_where_the_issuer_allows_it(world, secret):
    assert (await ask(world, hs(claims(world, "hmac"), secret.encode()))).status_code == 200


SECRET_NOES = {
    "another secret": lambda said: hs(said, b"x" * 32),
    "no secret": lambda said: hs(said, b""),
    "a part of the secret": lambda said: hs(said, SECRET[:-1].encode()),
    "the secret's hash": lambda said: hs(said, sha256(SECRET.encode()).digest()),
    "another algorithm": lambda said: hs(said, SECRET.encode(), alg="HS512"),
    "a private key": KEY.sign,
    "none": lambda said: raw({"alg": "none"}, said, b"").decode(),
    "an access token's type": lambda said: hs(said, SECRET.encode(), typ="at+jwt"),
    "another audience": lambda said: hs(said | {"aud": US + "/x"}, SECRET.encode()),
    "expired": lambda said: hs(said | {"exp": said["iat"] - 20, "iat": 1}, SECRET.encode()),
    "no jti": lambda said: hs({n: v for n, v in said.items() if n != "jti"}, SECRET.encode()),
    "another client": lambda said: hs(said | {"sub": "signer"}, SECRET.encode()),
}


@pytest.mark.parametrize("forge", SECRET_NOES.values(), ids=SECRET_NOES)
async def test_what_no_secret_of_the_client_signed_is_refused(world, forge):
    assert is_refused(await ask(world, forge(claims(world, "hmac"))))


async def test_a_signature_with_a_secret_is_good_once(world):
    said = hs(claims(world, "hmac"), SECRET.encode())
    assert (await ask(world, said)).status_code == 200
    assert is_refused(await ask(world, said))


async def test_an_issuer_that_does_not_say_so_accepts_no_secret_that_signs(world):
    said = claims(world, "hmac", aud=f"{US}/ims")
    assert is_refused(await ask(world, hs(said, SECRET.encode()), "/ims/connect/token"))


# ── what is said about it ────────────────────────────────────────────────────────────────────────


async def test_metadata_say_how_clients_may_authenticate_here(world):
    document = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert document["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_jwt",
        "client_secret_post",
        "none",
        "private_key_jwt",
    ]
    algorithms = document["token_endpoint_auth_signing_alg_values_supported"]
    assert {"ES256", "HS256", "RS256"} <= set(algorithms)
    other = (await world.http.get("/ims/.well-known/openid-configuration")).json()
    assert "client_secret_jwt" not in other["token_endpoint_auth_methods_supported"]
    assert "HS256" not in other["token_endpoint_auth_signing_alg_values_supported"]


async def test_the_trail_knows_why_and_never_the_assertion(worlds):
    async with worlds(file=FILE_WITH_CLIENTS) as world:
        said = KEY.sign(claims(world, aud="https://elsewhere.example"))
        await ask(world, said)
        await ask(world, good := KEY.sign(claims(world)))
        await ask(world, good)
    first, second, third = world.events()
    assert first["detail"] == "client 'signer': aud: not for us"
    assert second["outcome"] == "ok"
    assert third["detail"] == "client 'signer': jti: used before"
    text = world.trail.read_text()
    assert said.rpartition(".")[2] not in text
    assert urlsafe_b64encode(b"signer").decode() not in text


@pytest.mark.parametrize(
    ("client", "key", "expected"),
    [
        ("signer", KEY, ("private_key_jwt", "k1")),
        ("signer", ED, ("private_key_jwt", "k2")),
        ("hmac", None, ("client_secret_jwt", sha256(SECRET.encode()).hexdigest()[:8])),
    ],
    ids=["ES256", "EdDSA", "secret"],
)
async def test_the_trail_says_which_key_it_was(worlds, client, key, expected):
    async with worlds(file=FILE_WITH_CLIENTS) as world:
        said = claims(world, client)
        assert (
            await ask(world, key.sign(said) if key else hs(said, SECRET.encode()))
        ).status_code == 200
        assert (await ask(world, OTHER.sign(claims(world)))).status_code == 401
    good, bad = world.events()
    assert (good["method"], good["credential"]) == expected
    assert "method" not in bad
