"""Who asks too often hears when to come again; nobody can shut out another, or fill our memory."""

import asyncio
from hashlib import sha256

import httpx2
import pytest

from tests.world import FILE as WORLD
from tests.world import JWT, SECRET, TOKEN_EXCHANGE, US, a_world
from tokenward.oauth.errors import InvalidClient, TooManyRequests
from tokenward.oauth.presented import Presented
from tokenward.server.limits import MOST, WIDER, Limits, Meter, Rate, Rates
from tokenward.server.model import Client
from tokenward.server.proofs.client_secret import ClientSecret
from tokenward.server.registry import Registered, Registry
from tokenward.server.stores import StoreUnavailable

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
TEN = Rate(10, 300, 10)


class Ticks:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


# ── a meter ──


def test_so_many_at_once_and_then_so_many_on_average():
    meter = Meter(Rate(10, 1, 20))
    let_in = 0
    for tenth in range(100):
        for _ in range(50):
            if not meter.wait("a", tenth / 10):
                meter.count("a", tenth / 10)
                let_in += 1
    assert let_in == 20 + 99


@pytest.mark.parametrize(
    "rate", [Rate(1, 1, 1), Rate(7, 60, 3), Rate(100, 1, 200), Rate(3, 86400, 1)]
)
def test_whoever_waits_as_long_as_they_are_told_is_let_in_and_no_sooner(rate):
    meter, now = Meter(rate), 0.0
    for _ in range(3 * rate.burst):
        if wait := meter.wait("a", now):
            assert meter.wait("a", now + wait * 0.9) > 0
            now += wait + 1e-6
        assert meter.wait("a", now) == 0
        meter.count("a", now)


def test_one_does_not_wait_for_another():
    meter = Meter(Rate(1, 60, 1))
    meter.count("a", 0)
    assert meter.wait("a", 0) == 60
    assert meter.wait("b", 0) == 0


def test_a_clock_that_stands_still_or_goes_back_lets_nobody_in():
    meter = Meter(Rate(1, 60, 1))
    meter.count("a", 100)
    assert meter.wait("a", 100) == 60
    assert meter.wait("a", 50) > 60


def test_what_is_remembered_is_bounded_and_those_who_asked_most_are_remembered():
    meter = Meter(Rate(1, 60, 5))
    for _ in range(5):
        meter.count("attacker", 0)
    for n in range(10 * MOST):
        meter.count(str(n), 0)
        assert len(meter) <= MOST
    assert meter.wait("attacker", 0) > 0
    meter.count("late", 10_000)
    for n in range(MOST):
        meter.count(f"x{n}", 10_000)
    assert meter.wait("attacker", 10_000) == 0


# ── addresses ──


def test_an_address_that_asks_too_often_waits_in_whole_seconds():
    ticks = Ticks()
    limits = Limits(rates=Rates(address=Rate(2, 1, 2)), ticks=ticks)
    assert [limits.admit(HERE) for _ in range(4)] == [0, 0, 1, 1]
    assert limits.admit(ELSEWHERE) == 0
    assert limits.refused["address"] == 2
    ticks.now += 0.5
    assert limits.admit(HERE) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
        ("testclient", "testclient", True),
    ],
)
def test_who_has_an_address_of_ipv6_has_its_whole_network(one, other, same):
    limits = Limits(rates=Rates(address=Rate(1, 60, 1)), ticks=Ticks())
    assert limits.admit(one) == 0
    assert (limits.admit(other) > 0) is same


def test_unless_said_no_address_is_limited():
    limits = Limits()
    assert [limits.admit(HERE) for _ in range(10_000)] == [0] * 10_000


# ── guessing ──


def registry(ticks=None, **rates):
    registered = {
        id: Registered(
            client=Client(id=id, grant_types=frozenset()), proof=ClientSecret(secrets=(hashed(id),))
        )
        for id in ("nightly", "other")
    }
    stranger = Registered(
        client=Client(id="", grant_types=frozenset()), proof=ClientSecret(secrets=(hashed("?"),))
    )
    rates = {"guessing": Rate(10, 300, 10)} | rates
    limits = Limits(rates=Rates(**rates), ticks=ticks or Ticks())
    return Registry(clients=registered, stranger=stranger, limits=limits)


def hashed(secret):
    return "sha256:" + sha256(secret.encode()).hexdigest()


def wrong(id="nightly", secret="guess"):
    return Presented("client_secret_basic", ((id, secret),))


def right(id="nightly"):
    return wrong(id, id)


async def heard(registry, presented, address=HERE):
    try:
        return (await registry.authenticate(presented, address))[0].id
    except TooManyRequests as error:
        return error.retry_after
    except InvalidClient:
        return None


async def test_who_guesses_is_slowed_down_and_even_the_right_secret_is_not_heard():
    ticks = Ticks()
    it = registry(ticks)
    assert [await heard(it, wrong()) for _ in range(10)] == [None] * 10
    assert await heard(it, wrong()) == 30
    assert await heard(it, right()) == 30
    ticks.now += 30
    assert await heard(it, right()) == "nightly"
    assert await heard(it, wrong()) is None
    assert await heard(it, wrong()) == 30


async def test_the_client_itself_is_heard_from_elsewhere_while_somebody_guesses():
    it = registry()
    for _ in range(20):
        await heard(it, wrong())
    assert await heard(it, wrong()) == 30
    for _ in range(100):
        assert await heard(it, right(), ELSEWHERE) == "nightly"
    assert await heard(it, right("other")) == "other"


@pytest.mark.parametrize("address", [HERE, "", "/run/proxy.sock"])
async def test_a_client_that_knows_its_secret_is_never_slowed_down(address):
    it = registry()
    assert [await heard(it, right(), address) for _ in range(1000)] == ["nightly"] * 1000
    assert len(it.limits._guesses) == len(it.limits._guessers) == 0


async def test_who_guesses_at_many_clients_is_slowed_down_but_not_who_was_right_from_there():
    it = registry()
    assert await heard(it, right()) == "nightly"
    for n in range(10 * WIDER):
        assert await heard(it, wrong(f"client-{n}")) is None
    assert await heard(it, wrong("client-x")) == 3
    assert await heard(it, right("other")) == 3
    assert await heard(it, right()) == "nightly", "behind the same proxy"
    assert await heard(it, right("other"), ELSEWHERE) == "other"


async def test_strangers_and_clients_hear_the_same():
    known, unknown = registry(), registry()
    assert [await heard(known, wrong()) for _ in range(30)] == [
        await heard(unknown, wrong("nobody")) for _ in range(30)
    ]


@pytest.mark.parametrize(
    "spelling",
    [
        (("nightly", "a"), ("x", "b")),
        (("x", "b"), ("nightly", "a")),
        (("night%6Cy", "b"), ("nightly", "a")),
    ],
)
async def test_no_other_spelling_of_a_client_has_tries_of_its_own(spelling):
    it = registry()
    for _ in range(10):
        await heard(it, wrong())
    assert await heard(it, Presented("client_secret_basic", spelling)) == 30


@pytest.mark.parametrize("spelling", ["Nightly", "nightly ", " nightly", "NIGHTLY", "nightly\0"])
async def test_what_is_no_spelling_of_it_is_nobody_however_it_is_guessed(spelling):
    it = registry()
    for _ in range(10):
        await heard(it, wrong())
    assert await heard(it, wrong(spelling, "nightly")) is None


@pytest.mark.parametrize(
    "method", ["client_secret_post", "none", "private_key_jwt", "tls_client_auth"]
)
async def test_another_method_is_a_guess_like_any_other(method):
    it = registry()
    if method == "private_key_jwt":
        method = "tls_client_auth"
    for _ in range(10):
        await heard(it, Presented(method, (("nightly", "guess"),)))
    assert await heard(it, wrong()) == 30


class Slow:
    """A proof of a plug-in's that looks its secrets up somewhere."""

    methods = frozenset({"client_secret_basic"})

    def __init__(self, says=InvalidClient):
        self.asked, self.says = 0, says

    async def authenticate(self, presented, client):
        self.asked += 1
        await asyncio.sleep(0.01)
        raise self.says("locked")


async def test_a_hundred_guesses_at_once_are_a_hundred():
    it, proof = registry(), Slow()
    client = Client(id="nightly", grant_types=frozenset())
    it = Registry(
        clients={"nightly": Registered(client=client, proof=proof)},
        stranger=it.stranger,
        limits=it.limits,
    )
    got = await asyncio.gather(*(heard(it, wrong()) for _ in range(100)))
    assert got.count(None) == proof.asked == 10
    assert got.count(30) == 90


async def test_what_nobody_could_tell_is_no_failure():
    it, proof = registry(), Slow(StoreUnavailable)
    client = Client(id="nightly", grant_types=frozenset())
    it = Registry(
        clients={"nightly": Registered(client=client, proof=proof)},
        stranger=it.stranger,
        limits=it.limits,
    )
    for _ in range(12):
        with pytest.raises(StoreUnavailable):
            await it.authenticate(wrong(), HERE)
    assert proof.asked == 12


async def test_however_many_guess_what_is_remembered_is_bounded():
    it = registry()
    for n in range(3 * MOST):
        await heard(it, wrong(f"{n}" * 1000), f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    limits = it.limits
    assert len(limits._guesses) <= MOST
    assert len(limits._guessers) <= MOST
    assert max(len(id) for _, id in limits._guesses._paid) <= 256
    for n in range(MOST + 10):
        await heard(it, right(), f"2001:db8:{n >> 8:x}:{n & 255:x}::1")
    assert 0 < len(limits._right) <= MOST


async def test_guessing_can_be_left_alone():
    it = registry(guessing=None)
    assert {await heard(it, wrong()) for _ in range(1000)} == {None}


# ── through the whole server ──


def world_file(table):
    return WORLD.replace('[limits]\nguessing = "off"', f"[limits]\n{table}")


async def test_a_client_that_asks_too_often_hears_so_at_every_endpoint(tmp_path):
    async with a_world(tmp_path, file=world_file('client = "3/1h"')) as world:
        for _ in range(3):
            assert (await world.token(audience="reports")).status_code == 200
        for path in ("/token", "/introspect", "/revoke"):
            auth = ("nightly", SECRET)
            answer = await world.http.post(
                path, data={"grant_type": "client_credentials", "token": "x"}, auth=auth
            )
            assert answer.status_code == 429
            assert answer.json()["error"] == "temporarily_unavailable"
            assert 1000 < int(answer.headers["retry-after"]) <= 1200
            assert answer.headers["cache-control"] == "no-store"
            assert "www-authenticate" not in answer.headers
        other = await world.token(auth=("lazy", SECRET), audience="reports", scope="reports:read")
        assert other.status_code == 200
    refused = [it for it in world.events() if it["outcome"] == "refused"]
    assert {it["error"] for it in refused} == {"temporarily_unavailable"}
    assert refused[0]["detail"] == "client 'nightly'"
    assert [it.get("client") for it in refused] == ["nightly"] * 3, "it has shown who it is"


async def test_a_client_that_proves_nothing_is_not_shut_out_by_whoever_names_it(tmp_path):
    async with a_world(tmp_path, file=world_file('client = "2/1h"')) as world:
        for address, statuses in ((HERE, [200, 200, 429]), (ELSEWHERE, [200, 200, 429])):
            transport = httpx2.ASGITransport(world.app, client=(address, 1))
            async with httpx2.AsyncClient(transport=transport, base_url=US) as http:
                form = {
                    "grant_type": TOKEN_EXCHANGE,
                    "client_id": "browser",
                    "subject_token": world.user_token(),
                    "subject_token_type": JWT,
                }
                said = [(await http.post("/token", data=form)).status_code for _ in range(3)]
            assert said == statuses


async def test_each_person_has_tries_of_their_own_and_hears_it_in_words(tmp_path):
    async with a_world(tmp_path, file=world_file('caller = "2/1h"')) as world:
        ann, bob = world.user_token(), world.user_token(sub="auth0|bob")
        for _ in range(2):
            assert (await world.get_token(ann)).status_code == 200
        refused = await world.get_token(ann)
        assert refused.status_code == 429
        assert refused.text == "No token: this caller has asked too often"
        assert int(refused.headers["retry-after"]) >= 1
        assert (await world.get_token(bob)).status_code == 200
        exchanged = await world.exchange(ann, audience="itwin")
        assert exchanged.status_code == 429
        assert (await world.token(audience="reports")).status_code == 200, "a client is none"


async def test_one_caller_and_one_client_may_have_limits_of_their_own(tmp_path):
    file = WORLD.replace("[callers.nightly]", '[callers.nightly]\nlimit = "1/1h"').replace(
        "[callers.mobile]", '[callers.mobile]\nlimit = "1/1h"'
    )
    async with a_world(tmp_path, file=file) as world:
        assert [(await world.token(audience="reports")).status_code for _ in range(2)] == [200, 429]
        ann = world.user_token()
        assert [(await world.get_token(ann)).status_code for _ in range(2)] == [200, 429]
        lazy = [
            (await world.token(auth=("lazy", SECRET), audience="reports", scope="reports:read"))
            for _ in range(5)
        ]
        assert {it.status_code for it in lazy} == {200}


async def test_an_address_that_asks_too_often_hears_so_everywhere(tmp_path):
    async with a_world(tmp_path, file=world_file('address = "2/1h"')) as world:
        statuses = [
            (await world.http.get(path)).status_code
            for path in ("/livez", "/.well-known/jwks.json", "/livez", "/getToken", "/nowhere")
        ]
        assert statuses == [200, 200, 429, 429, 429]
        assert world.server.limits.refused["address"] == 3
