"""Tokens of a Hub for people who keep their keys: a challenge that is passed on, and its answer."""

import asyncio
import json
import re
from contextlib import asynccontextmanager

import pytest

from tests import textile
from tests.hub import KEY as HUB_KEY
from tests.hub import SECRET as HUB_SECRET
from tests.server.upstreams.granting import granted
from tests.textile import by_grpc, by_websocket, challenge, field_of, token_of
from tests.upstream import THEIRS
from tests.world import JWT, SECRET, TOKEN_EXCHANGE, a_world
from tokenward.jose.identity import PrivateKey
from tokenward.jose.jws import decode, encode
from tokenward.server import passing
from tokenward.server.audit import Audit
from tokenward.server.config import ConfigError
from tokenward.server.figures import Figures
from tokenward.server.http import Received
from tokenward.server.metrics import Tally
from tokenward.server.settings import load

ANN, BOB = PrivateKey.generate(), PrivateKey.generate()
SERVER = """
store = "{store}"
[audit]
to   = "{audit}"
mode = "before"
[limits]
guessing = "off"
[issuers.main]
url = "https://tokens.example.com"
[callers.mobile]
proof    = "jwt"
issuer   = "{friend}"
audience = "{audience}"
[callers.nightly]
proof       = "client_secret"
secrets     = ["{nightly}"]
grant_types = ["client_credentials", "token_exchange"]
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read"]
[tokens.itwin]
upstream       = "client_credentials"
token_endpoint = "{upstream}"
client_id      = "service-abc"
client_secret  = "${{UPSTREAM_SECRET}}"
scopes         = ["itwin-platform"]
[[allow]]
caller = "mobile"
token  = "itwin"
scope  = "itwin-platform"
[[allow]]
caller = "nightly"
token  = "reports"
scope  = "reports:read"
"""
"""With a key of its own that is made at once, for everybody here."""

TOKEN = """
[tokens.threads]
upstream  = "textile_hub"
url       = "HUB"
transport = "WAY"
key       = "KEY"
secret    = "SECRET"
signature = "callers"

[[allow]]
name   = "threads for people"
caller = "mobile"
token  = "threads"
[[allow]]
name   = "threads for the nightly job"
caller = "nightly"
token  = "threads"
"""


@asynccontextmanager
async def a_place(folder, way="websocket", *, file=SERVER, **options):
    """A server, and the Hub that it asks."""
    async with {"websocket": by_websocket, "grpc": by_grpc}[way]() as hub:
        table = TOKEN.replace("HUB", hub.url).replace("WAY", way)
        table = table.replace("KEY", HUB_KEY).replace("SECRET", HUB_SECRET)
        async with a_world(folder, file=file + table, **options) as world:
            yield world, hub


@pytest.fixture(params=["websocket", "grpc"])
async def place(request, tmp_path):
    async with a_place(tmp_path, request.param) as place:
        yield place


@pytest.fixture
async def world_and_hub(tmp_path):
    async with a_place(tmp_path) as place:
        yield place


def passed(world):
    """What the server has open."""
    return world.server.theirs.brokers["threads"]


class Person:
    """Somebody with a right and a key."""

    def __init__(self, world, key=ANN, *, sub="auth0|ann", client=False):
        self.world, self.key = world, key
        self.auth = ("nightly", SECRET) if client else None
        self.right = {"grant_type": "client_credentials"}
        if not client:
            token = world.user_token(sub=sub)
            self.right = {
                "grant_type": TOKEN_EXCHANGE,
                "subject_token": token,
                "subject_token_type": JWT,
            }

    async def asks(self, **more):
        form = {**self.right, "audience": "threads", "public_key": self.key.public.text, **more}
        form = {name: value for name, value in form.items() if value is not None}
        return await self.world.http.post("/challenge", data=form, auth=self.auth)

    async def answers(self, asked, **more):
        said = asked.json() if hasattr(asked, "json") else asked
        form = {
            **self.right,
            "audience": "threads",
            "auth_session": said["auth_session"],
            "signature": encode(self.key.sign(decode(said["challenge"]))),
            **more,
        }
        form = {name: value for name, value in form.items() if value is not None}
        return await self.world.http.post("/token", data=form, auth=self.auth)


def refused(response, error, words="", status=400):
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert words in response.json()["error_description"]
    assert THEIRS not in response.text
    return True


@pytest.mark.parametrize("client", [False, True])
async def test_a_token_for_somebody_whose_key_stays_with_them(place, client):
    world, hub = place
    person = Person(world, client=client)
    asked = await person.asks()
    assert asked.status_code == 200, asked.text
    said = asked.json()
    assert set(said) == {"challenge", "auth_session", "expires_in", "public_key", "alg"}
    assert decode(said["challenge"]) == textile.CHALLENGE
    assert (said["public_key"], said["alg"]) == (ANN.public.text, "EdDSA")
    assert said["expires_in"] == 55
    assert asked.headers["cache-control"] == "no-store"
    token = await person.answers(asked)
    assert token.status_code == 200, token.text
    body = token.json()
    assert body["access_token"] == token_of(ANN.public)
    assert body["expires_in"] == 3_600
    assert hub.heard[0]["x-textile-api-key"] == HUB_KEY
    await hub.all_gone()
    events = world.events()
    assert [(it["event"], it["outcome"], it["token"]) for it in events] == [
        ("challenge", "ok", "threads"),
        ("token", "ok", "threads"),
    ]
    assert "token_sha256" in events[1]
    assert "token_sha256" not in events[0]


async def test_a_challenge_is_answered_and_only_a_token_is_handed_out(world_and_hub):
    world, _ = world_and_hub
    told = Tally()
    world.server.meter._today().figures = figures = Figures()
    person = Person(world)
    asked = await person.asks()
    assert not figures.handed
    await person.answers(asked)
    assert [(whom[0], it.served) for whom, it in figures.handed.items()] == [("threads", 1)]
    event = Audit(world.server.trail).event("challenge", Received("POST", "/challenge"))
    event.authorization = granted()
    told.event(event)
    event.kind = "token"
    told.event(event)
    assert [key[3] for key in told.events] == ["", "theirs"]


async def test_nothing_of_it_is_remembered_and_each_asks_for_themselves(world_and_hub):
    world, hub = world_and_hub
    for key in (ANN, ANN, BOB):
        person = Person(world, key)
        got = await person.answers(await person.asks())
        assert got.json()["access_token"] == token_of(key.public)
    assert len(hub.heard) == 3
    counted = passed(world).counters.numbers()
    assert counted == {
        "asked": 3,
        "fetched": 3,
        "served": 3,
        "avoided": 0,
        "errors": 0,
        "refused": 0,
        "shared": 0,
    }


@pytest.mark.parametrize("kind", ["p256", "secp256k1"])
async def test_other_keys_sign_as_libp2p_does(world_and_hub, kind):
    world, _ = world_and_hub
    person = Person(world, PrivateKey.generate(kind))
    token = await person.answers(await person.asks())
    assert token.json()["access_token"] == token_of(person.key.public)


async def test_json_will_do(world_and_hub):
    world, _ = world_and_hub
    person = Person(world)
    said = {**person.right, "audience": "threads", "public_key": ANN.public.text}
    asked = await world.http.post("/challenge", json=said)
    assert (await person.answers(asked)).status_code == 200
    assert refused(
        await world.http.post("/challenge", json={**said, "scope": 1}), "invalid_request"
    )


# ── who hears no challenge ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"public_key": None}, "invalid_request"),
        ({"public_key": "bnone"}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"subject_token": "e30.e30.AA"}, "invalid_grant"),
        ({"subject_token": None}, "invalid_request"),
        ({"audience": "reports"}, "invalid_target"),
        ({"audience": "itwin"}, "invalid_target"),
        ({"audience": "nowhere"}, "invalid_target"),
    ],
)
async def test_who_may_not_hears_no_challenge_and_the_hub_hears_nothing(world_and_hub, more, error):
    world, hub = world_and_hub
    response = await Person(world).asks(**more)
    assert refused(response, error)
    assert not hub.heard
    events = [it for it in world.events() if it["event"] == "challenge"]
    assert [it["outcome"] for it in events] == ["refused"]


async def test_a_client_with_another_secret_hears_none(world_and_hub):
    world, hub = world_and_hub
    person = Person(world, client=True)
    person.auth = ("nightly", "x" * 43)
    assert refused(await person.asks(), "invalid_client", status=401)
    assert not hub.heard


async def test_whoever_asks_at_once_hears_that_a_challenge_comes_first(world_and_hub):
    world, hub = world_and_hub
    response = await world.token(audience="threads")
    assert refused(response, "invalid_request", "POST /challenge")
    got = await world.get_token(world.user_token(), audience="threads")
    assert got.status_code in (400, 403)
    assert not hub.heard


# ── who hears no token ──────────────────────────────────────────────────────────────────────────

WRONG = {
    "another's signature": lambda said: {"signature": encode(BOB.sign(decode(said["challenge"])))},
    "of something else": lambda _: {"signature": encode(ANN.sign(b"x" * 32))},
    "none": lambda _: {"signature": None},
    "not base64url": lambda _: {"signature": "*"},
    "too short": lambda _: {"signature": encode(b"s")},
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_signature_that_does_not_fit_never_reaches_the_hub(world_and_hub, what):
    world, hub = world_and_hub
    heard = []

    async def behave(talk):
        await talk.asked()
        await talk.say(challenge())
        heard.append(await talk.signed())

    hub.always = behave
    person = Person(world)
    said = (await person.asks()).json()
    response = await person.answers(said, **WRONG[what](said))
    error = "invalid_request" if what in ("none", "not base64url") else "invalid_grant"
    assert refused(response, error)
    if error == "invalid_grant":
        await hub.all_gone()
        assert refused(await person.answers(said), "invalid_grant", "the challenge is over")
    assert not heard


async def test_an_answer_is_good_once_even_for_many_at_the_same_time(world_and_hub):
    world, hub = world_and_hub
    person = Person(world)
    said = (await person.asks()).json()
    answers = await asyncio.gather(*(person.answers(said) for _ in range(20)))
    assert sorted(it.status_code for it in answers) == [200] + [400] * 19
    assert len(hub.heard) == 1
    assert not passed(world)._open
    assert not passed(world)._counted


async def test_a_challenge_is_for_who_asked_and_for_nobody_else(world_and_hub):
    world, _ = world_and_hub
    ann, eve = Person(world), Person(world, sub="auth0|eve")
    job = Person(world, client=True)
    said = (await ann.asks()).json()
    for other in (eve, job):
        assert refused(await other.answers(said), "invalid_grant", "not yours")
    through = {"auth": ("nightly", SECRET)}
    ann.auth = through["auth"]
    assert refused(await ann.answers(said), "invalid_grant", "not yours")
    ann.auth = None
    assert (await ann.answers(said)).status_code == 200


@pytest.mark.parametrize("session", ["x", "x.y", "." * 60, "é", "a" * 5_000])
async def test_a_name_of_no_challenge_is_told(world_and_hub, session):
    world, _ = world_and_hub
    person = Person(world)
    said = (await person.asks()).json()
    assert refused(await person.answers(said, auth_session=session), "invalid_grant")
    assert (await person.answers(said)).status_code == 200


async def test_another_process_says_that_it_was_another(world_and_hub, tmp_path):
    world, hub = world_and_hub
    person = Person(world)
    said = (await person.asks()).json()
    passed(world)._here = "0" * 12
    assert refused(await person.answers(said), "invalid_grant", "another process")
    assert hub.open == 1


async def test_who_lost_the_right_meanwhile_gets_nothing(world_and_hub):
    world, _ = world_and_hub
    person = Person(world)
    said = (await person.asks()).json()
    world.clock.at += 7_200
    assert refused(await person.answers(said), "invalid_grant")


async def test_nobody_has_more_than_a_few_open_and_others_are_not_hindered(world_and_hub):
    world, hub = world_and_hub
    ann, bob = Person(world), Person(world, BOB, sub="auth0|bob")
    said = [(await ann.asks()).json() for _ in range(passing.MOST_EACH)]
    response = await ann.asks()
    assert refused(response, "temporarily_unavailable", "too many challenges", 429)
    assert int(response.headers["retry-after"]) > 0
    assert (await bob.asks()).status_code == 200
    assert (await ann.answers(said[3])).status_code == 200
    assert (await ann.asks()).status_code == 200
    assert hub.open == passing.MOST_EACH + 1
    passed(world).most = hub.open
    assert refused(await bob.asks(), "temporarily_unavailable", "too many", 429)


async def test_a_challenge_that_nobody_answers_is_over_and_hung_up(world_and_hub):
    world, hub = world_and_hub
    passed(world).within = 0.05
    person = Person(world)
    said = (await person.asks()).json()
    await hub.all_gone()
    assert refused(await person.answers(said), "invalid_grant", "the challenge is over")
    assert not passed(world)._counted


async def test_at_the_end_nothing_is_left_open(tmp_path):
    async with a_place(tmp_path) as (world, hub):
        for _ in range(3):
            await Person(world).asks()
        assert hub.open == 3
        await world.server.theirs.close()
        await hub.all_gone()
        assert not passed(world)._open


# ── a Hub that refuses, or worse ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [
        (16, "temporarily_unavailable", 503),
        (5, "temporarily_unavailable", 503),
        (7, "temporarily_unavailable", 503),
        (3, "invalid_request", 400),
        (2, "temporarily_unavailable", 503),
        (14, "temporarily_unavailable", 503),
    ],
)
async def test_a_hub_that_gives_no_challenge(place, number, error, status):
    world, hub = place
    hub.always = textile.refuses(number)
    assert refused(await Person(world).asks(), error, status=status)
    await hub.all_gone()
    event = world.events()[-1]
    assert (event["event"], event["error"]) == ("challenge", error)
    assert str(number) in event["detail"] or number == 14
    assert THEIRS not in json.dumps(event)
    assert not passed(world)._counted


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [
        (2, "invalid_grant", 400),
        (3, "invalid_grant", 400),
        (7, "invalid_grant", 400),
        (4, "invalid_grant", 400),
        (16, "temporarily_unavailable", 503),
        (14, "temporarily_unavailable", 503),
    ],
)
async def test_a_hub_that_does_not_take_the_answer(place, number, error, status):
    world, hub = place
    hub.always = textile.refuses(number, signed=True)
    person = Person(world)
    assert refused(await person.answers(await person.asks()), error, status=status)
    await hub.all_gone()
    assert THEIRS not in json.dumps(world.events())


BAD = {
    "says nothing": textile.silent,
    "hangs up": textile.hangs_up,
    "a short challenge": textile.says(challenge(b"c" * 31)),
    "a token at once": textile.says(field_of(2, b"token")),
}
BAD_LATER = {
    "says nothing": textile.silent_at_the_end,
    "hangs up": textile.hangs_up_after_the_challenge,
    "another's token": textile.gives(token_of(BOB.public)),
    "a token with blanks": textile.gives("two words"),
    "a dead token": textile.gives(token_of(ANN.public, exp=1)),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_hub_is_no_challenge(world_and_hub, bad):
    world, hub = world_and_hub
    passed(world).deadline = 0.3
    hub.always = BAD[bad]
    assert refused(await Person(world).asks(), "temporarily_unavailable", status=503)
    await hub.all_gone()


@pytest.mark.parametrize("bad", BAD_LATER)
async def test_a_bad_hub_is_no_token(world_and_hub, bad):
    world, hub = world_and_hub
    passed(world).deadline = 0.3
    hub.always = BAD_LATER[bad]
    person = Person(world)
    response = await person.answers(await person.asks())
    assert refused(response, "temporarily_unavailable", status=503)
    await hub.all_gone()
    assert passed(world).counters.errors == 1


async def test_a_hub_in_trouble_is_left_alone_and_keys_it_does_not_like_are_no_trouble(
    world_and_hub,
):
    world, hub = world_and_hub
    person = Person(world)
    hub.always = textile.refuses(2)
    for _ in range(7):
        await person.asks()
    assert passed(world).state == "closed"
    hub.always = textile.refuses(14)
    for _ in range(5):
        await person.asks()
    assert passed(world).state == "open"
    heard = len(hub.heard)
    response = await person.asks()
    assert refused(response, "temporarily_unavailable", status=503)
    assert int(response.headers["retry-after"]) >= 5
    assert len(hub.heard) == heard
    assert passed(world).counters.refused == 1


# ── settings ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'signature = "callers"',
            f'signature = "callers"\nprivate_key = "{ANN.to_string()}"',
            "private_key: is given",
        ),
        ('signature = "callers"', 'signature = "ours"', "private_key"),
        ('signature = "callers"', 'signature = "theirs"', "signature: must be"),
        ("[tokens.threads]", '[tokens.threads]\nscopes = ["a"]', "are not for a Hub"),
    ],
)
def test_contradictions_are_told_and_no_key_with_them(tmp_path, old, new, said):
    path = tmp_path / "tokenward.toml"
    table = TOKEN.replace("HUB", "https://hub.example.com").replace("WAY", "websocket")
    table = table.replace("KEY", HUB_KEY).replace("SECRET", HUB_SECRET)
    assert old in table
    path.write_text(f'issuer = "https://t.example.com"\n{table.replace(old, new)}')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert re.search(re.escape(said), str(caught.value))
    assert ANN.to_string() not in str(caught.value)


def test_without_an_issuer_of_ours_nobody_could_ask(tmp_path):
    path = tmp_path / "tokenward.toml"
    table = TOKEN.replace("HUB", "https://hub.example.com").replace("WAY", "websocket")
    path.write_text(table.replace("KEY", HUB_KEY).replace("SECRET", HUB_SECRET))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert "need an issuer of ours" in str(caught.value)
