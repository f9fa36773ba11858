"""A whole server counts what it does, and asks its store nothing on the way."""

from tests.upstream import says, token
from tests.world import API_SECRET
from tokenward.server.figures import Figures, Handed
from tokenward.server.rows import ROWS, day_of
from tokenward.server.usage import read


async def figures(world, back=0):
    """All that was kept of today, or of so many days before."""
    await world.server.meter.keep()
    day = day_of(world.clock()) - back
    return (await read(world.server.store.shelf, day, day)).days.get(day, Figures())


async def test_each_question_for_a_token_is_counted_and_nothing_else(world):
    for _ in range(3):
        given = (await world.token(audience="reports")).json()["access_token"]
    await world.token(audience="nothing")
    await world.token(auth=("nightly", "wrong"))
    await world.exchange(world.user_token(permissions=["reports"]), auth=("nightly", "wrong"))
    await world.http.post("/introspect", data={"token": given}, auth=("reports-api", API_SECRET))
    await world.http.get("/jwks")
    await world.http.get("/nowhere")
    await world.http.post("/token", data={})
    assert (await figures(world)).handed == {
        ("reports", "nightly", "nightly"): Handed(served=3),
        ("", "nightly", "nightly"): Handed(refused=1),
        ("", "", ""): Handed(refused=2),
    }


async def test_the_meter_is_told_by_whom_and_what_it_took(world):
    ann = world.user_token()
    for _ in range(20):
        assert (await world.get_token(ann)).status_code == 200
    kept = await figures(world)
    assert kept.handed == {("itwin", "mobile", ""): Handed(served=20)}
    fetched = kept.fetched["itwin"]
    assert (fetched.fetched, fetched.errors, fetched.refused) == (1, 0, 0)
    assert 0 < fetched.latency.total < 10


async def test_an_upstream_that_fails_is_counted(world):
    world.upstream.always = says(401)
    for _ in range(7):
        assert (await world.get_token(world.user_token())).status_code == 503
    kept = await figures(world)
    assert kept.handed == {("itwin", "mobile", ""): Handed(refused=7)}
    fetched = kept.fetched["itwin"]
    assert (fetched.fetched, fetched.errors, fetched.refused) == (0, 5, 2)


async def test_what_is_warm_reads_and_writes_nothing(world):
    ann = world.user_token()
    await world.get_token(ann)
    before = world.server.store.counts
    for _ in range(50):
        assert (await world.get_token(ann)).status_code == 200
    assert world.server.store.counts == before


async def test_what_is_fetched_and_served_belongs_to_the_day_of_it(world):
    world.upstream.always = token(expires_in=86_400 * 3)
    world.clock.at = (day_of(world.clock()) + 1) * 86_400 - 1.0
    assert (await world.get_token(world.user_token())).status_code == 200
    world.clock.at += 2.0
    for _ in range(2):
        assert (await world.get_token(world.user_token())).status_code == 200
    before, after = await figures(world, 1), await figures(world)
    assert before.handed == {("itwin", "mobile", ""): Handed(served=1)}
    assert before.fetched["itwin"].fetched == 1
    assert after.handed == {("itwin", "mobile", ""): Handed(served=2)}
    assert after.fetched == {}


async def test_a_server_that_ends_well_loses_nothing(worlds, tmp_path):
    store = f"sqlite://{tmp_path / 'kept.db'}"
    for _ in range(2):
        async with worlds(store=store) as world:
            await world.token(audience="reports")
    async with worlds(store=store) as world:
        assert (await figures(world)).handed == {
            ("reports", "nightly", "nightly"): Handed(served=2)
        }


async def test_a_server_nobody_asked_writes_no_row(worlds, tmp_path):
    store = f"sqlite://{tmp_path / 'kept.db'}"
    async with worlds(store=store):
        pass
    async with worlds(store=store) as world:
        assert await world.server.store.shelf.keys(ROWS) == []


async def test_nobodys_people_and_no_token_are_in_a_row(world):
    ann = world.user_token()
    theirs = (await world.get_token(ann)).text.removeprefix("Bearer ")
    await world.server.meter.keep()
    for place in await world.server.store.shelf.keys(ROWS):
        row = await world.server.store.shelf.get(place)
        for hidden in (ann, theirs, "auth0", "ann"):
            assert hidden.encode() not in row
