"""``/ws/userauth``, ``/ws/login`` and ``/ws/token``, asked by a client that nobody here wrote."""

import asyncio
import json
from datetime import datetime

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.hub import KEY, signature
from tests.server.textile.there import APP, BANNED, SITE, US, USERAUTH, VISITORS, buffer, there
from tests.world import claims_of
from tokenward.jose.identity import PrivateKey
from tokenward.server.textile import door, messages, talk

SOMEBODY = PrivateKey.generate()


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    with there(tmp_path_factory.mktemp("textile"), textile=USERAUTH) as routes:
        yield routes


def error(value):
    return {"type": "error", "value": value}


@pytest.mark.parametrize("path", ["/ws/userauth", "/ws/login"])
@pytest.mark.parametrize("kind", ["ed25519", "p256", "secp256k1"])
async def test_who_signs_gets_all_that_textiles_clients_want_to_know(routes, path, kind):
    somebody = PrivateKey.generate(kind)
    async with routes.talk(path, origin=APP) as client:
        said = await client.ask(somebody)
    assert said.keys() == {"type", "value"}
    assert said["type"] == "token"
    value = said["value"]
    assert value.keys() == {"key", "msg", "sig", "token"}
    assert (value["key"], value["sig"]) == (KEY, signature(value["msg"]))
    assert datetime.fromisoformat(value["msg"]).tzinfo is not None
    assert claims_of(value["token"])["sub"] == somebody.public.text
    event = await routes.event(event="textile.token", subject=somebody.public.text)
    assert (event["outcome"], event["rule"], event["token"]) == ("ok", "people", "threads")
    event = await routes.event(event="textile.userauth", subject=somebody.public.text)
    assert (event["outcome"], event["rule"], event["token"]) == ("ok", "people sign", "signin")


@pytest.mark.parametrize("name", ["pub", "pubkey"])
async def test_the_first_of_the_examples_gets_the_token_alone(routes, name):
    async with routes.talk("/ws/token") as client:
        said = await client.ask(SOMEBODY, name=name)
    assert said["type"] == "token"
    assert claims_of(said["value"])["sub"] == SOMEBODY.public.text


async def test_an_rsa_key_signs_too(routes):
    key = PrivateKey.generate("rsa")
    async with routes.talk("/ws/token") as client:
        assert (await client.ask(key))["type"] == "token"


@pytest.mark.parametrize("path", ["/ws/userauth", "//ws/userauth", "/base/ws/userauth"])
async def test_it_is_where_clients_were_told_it_is(routes, path):
    async with routes.talk(path) as client:
        assert (await client.ask(SOMEBODY))["type"] == "token"


async def test_one_socket_is_good_for_several_one_after_another(routes):
    async with routes.talk("/ws/token") as client:
        for _ in range(3):
            somebody = PrivateKey.generate()
            said = await client.ask(somebody)
            assert claims_of(said["value"])["sub"] == somebody.public.text


async def test_several_at_once_on_one_socket_each_get_their_own(routes):
    people = [PrivateKey.generate() for _ in range(4)]
    async with routes.talk("/ws/token") as client:
        for one in people:
            await client.say({"type": "token", "pubkey": one.public.text})
        for one in people:
            said = await client.hear()
            assert said["type"] == "challenge"
            await client.sign(one, bytes(said["value"]["data"]), pub=one.public.text)
            said = await client.hear()
            assert claims_of(said["value"])["sub"] == one.public.text


async def test_more_than_a_few_at_once_are_refused(routes):
    async with routes.talk("/ws/token") as client:
        for _ in range(talk.MOST_WAITING + 2):
            await client.say({"type": "token", "pubkey": SOMEBODY.public.text})
        assert (await client.hear())["type"] == "challenge"
        assert await client.hear() == error("too many at once: answer the challenge first")


async def test_every_challenge_is_another(routes):
    async with routes.talk() as one, routes.talk() as other:
        first, second = await one.challenge(SOMEBODY), await other.challenge(SOMEBODY)
    assert len(first) == len(second) == 32
    assert first != second


async def test_a_challenge_of_one_socket_is_worth_nothing_on_another(routes):
    async with routes.talk() as one, routes.talk() as other:
        challenge = await one.challenge(SOMEBODY)
        await other.challenge(SOMEBODY)
        await other.sign(SOMEBODY, challenge)
        assert await other.hear() == error("bad signature")


async def test_a_challenge_is_answered_once(routes):
    async with routes.talk("/ws/token") as client:
        challenge = await client.challenge(SOMEBODY)
        await client.sign(SOMEBODY, challenge)
        assert (await client.hear())["type"] == "token"
        await client.sign(SOMEBODY, challenge)
        assert await client.hear() == error("there is no challenge to answer")


async def test_somebody_elses_signature_is_refused(routes):
    async with routes.talk() as client:
        challenge = await client.challenge(SOMEBODY)
        await client.sign(PrivateKey.generate(), challenge)
        assert await client.hear() == error("bad signature")
        assert (await client.ask(SOMEBODY))["type"] == "token"
    event = await routes.event(event="textile.token", detail="bad signature")
    assert event["outcome"] == "refused"


# What it was that crashed the original, and what else somebody may send ─────────────────────────

ASKED = [
    ({"type": "token"}, "missing pubkey"),
    ({"type": "token", "pubkey": ""}, "missing pubkey"),
    ({"type": "token", "pubkey": None}, "missing pubkey"),
    ({"type": "token", "pubkey": "x"}, "invalid pubkey"),
    ({"type": "token", "pubkey": "bbaareiadued"}, "invalid pubkey"),
    ({"type": "token", "pubkey": 1}, "invalid pubkey"),
    ({"type": "token", "pubkey": {"toString": "x"}}, "invalid pubkey"),
    ({"type": "token", "pubkey": ["x"]}, "invalid pubkey"),
    ({"type": "token", "pubkey": {"kty": "OKP"}}, "invalid pubkey"),
    # Ed25519 points of small order, which fit signatures of nobody's
    ({"type": "token", "pubkey": "bbaareia" + "a" * 51}, "invalid pubkey"),
    ({"type": "challenge", "sig": buffer(b"x" * 64)}, "there is no challenge to answer"),
    ({"type": "challenge"}, "missing signature (sig)"),
    ({"type": "login"}, "type must be token or challenge"),
    ({"type": ["token"]}, "type must be token or challenge"),
    ({"type": {"type": "token"}}, "type must be token or challenge"),
    ({}, "type must be token or challenge"),
    ("", "not a JSON object"),
    ("x", "not a JSON object"),
    ("null", "not a JSON object"),
    ("[]", "not a JSON object"),
    ('"token"', "not a JSON object"),
    ("{", "not a JSON object"),
    ('{"type":"token","type":"challenge"}', "not a JSON object"),
    ("[" * 1500 + "]" * 1500, "not a JSON object"),
    ('{"type":"token","pubkey":' + "9" * 3000 + "}", "not a JSON object"),
    ('{"type":"\\ud800"}', "not a JSON object"),
    ('{"type":NaN}', "not a JSON object"),
]


@pytest.mark.parametrize(("said", "why"), ASKED)
async def test_what_is_no_question_is_answered_with_the_reason(routes, said, why):
    async with routes.talk() as client:
        await client.say(said)
        assert await client.hear() == error(why)
        assert (await client.ask(SOMEBODY))["type"] == "token"


SIGNED = [
    ({}, "missing signature (sig)"),
    ({"sig": None}, "missing signature (sig)"),
    ({"sig": []}, "missing signature (sig)"),
    ({"sig": buffer(b"")}, "missing signature (sig)"),
    ({"sig": ""}, "invalid signature (sig)"),
    ({"sig": "x" * 64}, "invalid signature (sig)"),
    ({"sig": 64}, "invalid signature (sig)"),
    ({"sig": 2**53}, "invalid signature (sig)"),
    ({"sig": {"length": 10**9}}, "invalid signature (sig)"),
    ({"sig": {"type": "Buffer"}}, "invalid signature (sig)"),
    ({"sig": {"type": "Buffer", "data": None}}, "invalid signature (sig)"),
    (
        {"sig": {"type": "Buffer", "data": {"type": "Buffer", "data": []}}},
        "invalid signature (sig)",
    ),
    ({"sig": {"type": "Array", "data": [1]}}, "invalid signature (sig)"),
    ({"sig": {"type": "Buffer", "data": [1], "more": 1}}, "invalid signature (sig)"),
    ({"sig": [256] * 64}, "invalid signature (sig)"),
    ({"sig": [-1] * 64}, "invalid signature (sig)"),
    ({"sig": [True] * 64}, "invalid signature (sig)"),
    ({"sig": [1.5] * 64}, "invalid signature (sig)"),
    ({"sig": ["1"] * 64}, "invalid signature (sig)"),
    ({"sig": [[1]] * 64}, "invalid signature (sig)"),
    ({"sig": [1] * 513}, "invalid signature (sig)"),
    ({"sig": [1] * 63}, "bad signature"),
    ({"sig": [1] * 65}, "bad signature"),
    ({"sig": buffer(b"x" * 64)}, "bad signature"),
    ({"type": "junk"}, "type must be token or challenge"),
]


@pytest.mark.parametrize(("said", "why"), SIGNED)
@pytest.mark.parametrize("kind", ["ed25519", "secp256k1"])
async def test_what_is_no_signature_is_refused_and_the_next_question_is_answered(
    routes, said, why, kind
):
    key = PrivateKey.generate(kind)
    async with routes.talk("/ws/token") as client:
        await client.challenge(key)
        await client.say({"type": "challenge"} | said)
        assert await client.hear() == error(why)
        assert (await client.ask(key))["type"] == "token"


async def test_a_signature_may_be_a_list_of_numbers(routes):
    async with routes.talk("/ws/token") as client:
        challenge = await client.challenge(SOMEBODY)
        await client.say({"type": "challenge", "sig": list(SOMEBODY.sign(challenge))})
        assert (await client.hear())["type"] == "token"


async def test_bytes_instead_of_text_and_too_much_of_it_end_the_connection(routes):
    async with routes.talk() as client:
        await client.say(b"\0\1\2")
        assert await client.ended() == 1003
    async with routes.talk() as client:
        await client.say("x" * 5000)
        assert await client.ended() == 1009
    async with routes.talk() as client:
        assert (await client.ask(SOMEBODY))["type"] == "token"


async def test_who_says_nothing_but_nonsense_is_sent_away(routes):
    async with routes.talk() as client:
        for _ in range(talk.MOST_FAULTS):
            await client.say("nonsense")
            assert (await client.hear())["type"] == "error"
        assert await client.ended() == 1000


async def test_an_unanswered_challenge_ends_and_crashes_nobody(tmp_path):
    more = USERAUTH + '\nchallenge = "1s"'
    with there(tmp_path, textile=more) as routes:
        async with routes.talk() as silent, routes.talk() as other:
            await silent.challenge(SOMEBODY)
            assert await silent.hear() == error("challenge deadline exceeded")
            assert (await other.ask(SOMEBODY))["type"] == "token"
            assert (await silent.ask(SOMEBODY))["type"] == "token"
        await routes.event(event="textile.token", detail="challenge deadline exceeded")


async def test_who_goes_away_in_the_middle_is_forgotten(routes):
    async with routes.talk() as client:
        await client.challenge(SOMEBODY)
    event = await routes.event(event="textile.token", detail="the client closed")
    assert event["outcome"] == "refused"


async def test_who_opens_a_socket_and_asks_nothing_is_sent_away(routes, monkeypatch):
    monkeypatch.setattr(talk, "FIRST", 0.05)
    async with routes.talk() as client:
        assert await client.ended() == 1000


async def test_our_own_mistake_is_said_as_one_and_ends_that_talk_alone(routes, monkeypatch, caplog):
    async def give(self, asked, event):
        raise RuntimeError("the secret of the day")

    async with routes.talk() as client, routes.talk() as other:
        with monkeypatch.context() as patched:
            patched.setattr(door.TextileDoor, "give", give)
            said = await client.ask(SOMEBODY)
        assert said["type"] == "error"
        assert said["value"].startswith("internal error ")
        assert await client.ended() == 1000
        assert (await other.ask(SOMEBODY))["type"] == "token"
    assert [it.message for it in caplog.records if it.levelname == "ERROR"] == [
        "a talk on a WebSocket of Textile's failed"
    ]


async def test_there_is_room_for_so_many_and_those_who_are_there_are_served(tmp_path):
    with there(tmp_path, textile=USERAUTH + "\nwaiting = 1") as routes:
        async with routes.talk() as first:
            challenge = await first.challenge(SOMEBODY)
            async with routes.talk() as second:
                await second.say({"type": "token", "pubkey": SOMEBODY.public.text})
                assert await second.hear() == error("too many are about to sign; ask again")
            await first.sign(SOMEBODY, challenge)
            assert (await first.hear())["type"] == "token"


async def test_junk_from_many_sockets_harms_nobody(routes):
    junk = ["{", "null", '{"type":"token"}', '{"type":"challenge","sig":{"length":1e9}}']

    async def wild():
        async with routes.talk() as client:
            heard = []
            for said in junk:
                await client.say(said)
                heard.append((await client.hear())["type"])
            return heard

    heard = await asyncio.gather(*(wild() for _ in range(60)))
    assert heard == [["error"] * 4] * 60
    async with routes.talk() as client:
        assert (await client.ask(SOMEBODY))["type"] == "token"


# Who may ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("origin", [None, APP, US])
async def test_pages_of_the_people_and_programs_may_ask(routes, origin):
    async with routes.talk(origin=origin) as client:
        assert (await client.ask(SOMEBODY))["type"] == "token"


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "null",
        "https://app.example.com:444",
        "https://app.example.com.",
        "http://app.example.com",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.com.evil.example",
        SITE,
        "*",
    ],
)
async def test_other_pages_may_not(routes, origin):
    async with routes.talk(origin=origin) as client:
        await client.say({"type": "token", "pubkey": SOMEBODY.public.text})
        assert await client.hear() == error("Pages of this origin may not ask here.")


NO_RULE = "There is no such token for this caller, or none at all."


@pytest.mark.parametrize("path", ["/ws/token", "/ws/userauth"])
async def test_without_a_rule_there_is_nothing(tmp_path, path):
    with there(tmp_path, allow="", more=VISITORS) as routes:
        async with routes.talk(path) as client:
            assert await client.ask(SOMEBODY) == error(NO_RULE)


@pytest.mark.parametrize("lacks", ["threads", "signin"])
async def test_each_half_of_userauth_needs_a_rule(tmp_path, lacks):
    has = {"threads": "signin", "signin": "threads"}[lacks]
    with there(tmp_path, allow=f'[[allow]]\ncaller = "people"\ntoken = "{has}"') as routes:
        async with routes.talk("/ws/login") as client:
            assert await client.ask(SOMEBODY) == error(NO_RULE)


async def test_a_rule_may_name_one_key(tmp_path):
    rule = f"""
        [[allow]]
        caller = "people"
        token  = "threads"
        claims = {{ key = "{SOMEBODY.public.text}" }}
        """
    with there(tmp_path, allow=rule) as routes:
        async with routes.talk("/ws/token") as client:
            assert (await client.ask(SOMEBODY))["type"] == "token"
            assert await client.ask(BANNED) == error(NO_RULE)


async def test_people_of_an_application_come_as_its_people(tmp_path):
    with there(tmp_path, people="app") as routes:
        async with routes.talk() as client:
            assert (await client.ask(SOMEBODY))["type"] == "token"
        event = await routes.event(event="textile.token", subject=SOMEBODY.public.text)
        assert (event["caller"], event["rule"]) == ("app", "people of the app")


async def test_where_nothing_is_signed_there_is_only_the_token(tmp_path):
    with there(tmp_path, textile="") as routes:
        async with routes.talk("/ws/token") as client:
            assert (await client.ask(SOMEBODY))["type"] == "token"
        for path in "/ws/userauth", "/ws/login":
            with pytest.raises(InvalidStatus) as refused:
                async with routes.talk(path):
                    pass
            assert refused.value.response.status_code == 404


async def test_a_server_that_stops_says_goodbye(tmp_path):
    with there(tmp_path) as routes:
        context = routes.talk()
        client = await context.__aenter__()
        assert (await client.ask(SOMEBODY))["type"] == "token"
        waiting = asyncio.create_task(client.socket.recv())
        await asyncio.sleep(0)
    with pytest.raises(ConnectionClosed):
        await waiting
    assert client.socket.close_code == 1001
    await context.__aexit__(None, None, None)


def test_what_is_said_is_what_node_would_read():
    assert json.loads(messages.challenge(b"\0\xff")) == {
        "type": "challenge",
        "value": {"type": "Buffer", "data": [0, 255]},
    }


async def test_people_of_an_application_whose_key_has_ended_may_not_come(tmp_path):
    with there(tmp_path, people="app", app="") as routes:
        async with routes.talk("/ws/token") as client:
            assert await client.ask(SOMEBODY) == error("nobody we trust has this key")


async def test_a_socket_is_not_for_ever_so_that_new_settings_count(routes, monkeypatch):
    monkeypatch.setattr(talk, "ALL", 0.3)
    async with routes.talk("/ws/token") as client:
        assert (await client.ask(SOMEBODY))["type"] == "token"
        assert await client.ended() == 1000
    async with routes.talk("/ws/token") as client:
        challenge = await client.challenge(SOMEBODY)
        await asyncio.sleep(0.35)
        await client.sign(SOMEBODY, challenge)
        assert (await client.hear())["type"] == "token"
        assert await client.ended() == 1000
