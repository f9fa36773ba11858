"""Several secrets at a time: each has a name, and perhaps an end; the trail says which it was."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tests.world import FILE, SECRET, hashed
from tokenward.server.settings import load

NEXT = "the-next-one-" + "n" * 40
GONE = "the-one-that-ends-" + "g" * 40
FIRST_DIGITS = sha256(SECRET.encode()).hexdigest()[:8]


def several(ends):
    return FILE.replace(
        '[callers.nightly]\nproof       = "client_secret"\nsecrets     = ["{nightly}"]',
        '[callers.nightly]\nproof       = "client_secret"\nsecrets     = ["{nightly}", '
        f'{{{{ hash = "{hashed(NEXT)}", name = "2027" }}}}, '
        f'{{{{ hash = "{hashed(GONE)}", name = "2026", expires = {ends} }}}}]',
    )


def moment(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
async def world(worlds):
    async with worlds(file=several(moment(ENDS))) as world:
        yield world


ENDS = 4_000_000_000


async def ask(world, secret, **form):
    return await world.token(auth=("nightly", secret), audience="reports", **form)


@pytest.mark.parametrize("before", [1_000_000, 1, 0.001])
async def test_each_of_them_is_good_until_its_end(world, before):
    world.clock.at = ENDS - before
    for secret in (SECRET, NEXT, GONE):
        assert (await ask(world, secret)).status_code == 200


@pytest.mark.parametrize("after", [0, 0.001, 1, 1_000_000])
async def test_from_its_end_on_it_is_a_wrong_one(world, after):
    world.clock.at = ENDS + after
    refused = await ask(world, GONE)
    wrong = await ask(world, "a-wrong-one-" + "w" * 40)
    assert refused.status_code == wrong.status_code == 401
    assert refused.content == wrong.content
    assert [(await ask(world, secret)).status_code for secret in (SECRET, NEXT)] == [200, 200]


async def test_the_trail_says_which_it_was_and_how_it_came(worlds):
    async with worlds(file=several(moment(ENDS))) as world:
        await ask(world, SECRET)
        await ask(world, NEXT)
        await world.token(auth=None, client_id="nightly", client_secret=GONE, audience="reports")
        await ask(world, "a-wrong-one-" + "w" * 40)
        world.clock.at = ENDS
        await ask(world, GONE)
        await world.exchange(world.user_token(), audience="itwin")
    *three, wrong, ended, nobody = world.events()
    assert [(event["method"], event["credential"]) for event in three] == [
        ("client_secret_basic", FIRST_DIGITS),
        ("client_secret_basic", "2027"),
        ("client_secret_post", "2026"),
    ]
    for event in (wrong, ended, nobody):
        assert "method" not in event
        assert "credential" not in event
    assert ended["detail"] == "client 'nightly': secret 2026 has expired"
    assert "wrong id or secret" in str(wrong["detail"])


async def test_a_secret_of_another_client_is_none_whatever_its_name(world):
    assert (await world.token(auth=("lazy", NEXT), audience="reports")).status_code == 401


# ── what check says ──────────────────────────────────────────────────────────────────────────────

CLIENT = """
store = "memory:"
[callers.nightly]
proof = "client_secret"
secrets = [
  "{a}",
  {{ hash = "{b}", expires = {expires} }},
]
"""


def warnings(folder, expires):
    (folder / "tokenward.toml").write_text(
        CLIENT.format(a=hashed("a" * 43), b=hashed("b" * 43), expires=expires)
    )
    found = load(folder / "tokenward.toml", {}).warnings
    return [(one.place, one.message) for one in found if "secrets" in one.place]


@pytest.mark.parametrize(
    ("days", "said"),
    [(-400, "expired on"), (-1, "expired on"), (1, "expires on"), (29, "expires on")],
)
def test_a_secret_that_ends_soon_is_warned_of(tmp_path, days, said):
    ends = datetime.now(UTC) + timedelta(days=days)
    [(place, message)] = warnings(tmp_path, ends.isoformat())
    assert place.endswith("callers.nightly.secrets[2]")
    assert message.startswith(f"the secret {sha256(b'b' * 43).hexdigest()[:8]} {said} ")
    assert message.endswith(ends.strftime("%Y-%m-%d %H:%M UTC"))


@pytest.mark.parametrize("days", [31, 4_000])
def test_a_secret_that_ends_later_is_not(tmp_path, days):
    assert warnings(tmp_path, (datetime.now(UTC) + timedelta(days=days)).isoformat()) == []
