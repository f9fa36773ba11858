"""The log of requests says what it may, one line each, and no answer waits for it."""

import asyncio
import json
import os
import re
from contextlib import ExitStack, contextmanager, suppress

import httpx2
import pytest

from tests.leaks import Ledger
from tests.server.toys import LANES
from tests.servers import Issuer, until_now
from tests.upstream import Upstream
from tests.world import API_SECRET, FILE, SECRET, UPSTREAM_SECRET, World
from tokenward.jose.keys import SigningKey
from tokenward.server import requestlog
from tokenward.server.requestlog import AT_ONCE, RequestLog, pieces
from tokenward.server.serve import serving
from tokenward.server.watching import Note

ON = "[log]\nrequests = true\n"
NOON = 1_800_000_000.25


@pytest.fixture(params=LANES.values(), ids=LANES)
def lane(request):
    return request.param


@pytest.fixture
def logged(worlds, tmp_path):
    """Serves worlds that log; ``worlds`` is for keys that are ready."""

    @contextmanager
    def serve(lane, table):
        with ExitStack() as stack:
            friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
            upstream = stack.enter_context(Upstream())
            file = FILE.replace("[issuers.main]", f"{table}\n[issuers.main]")
            world = World(tmp_path, friend, upstream, file=file)
            url = stack.enter_context(serving(lane(world.app)))
            yield world, stack.enter_context(httpx2.Client(base_url=url, trust_env=False))

    return serve


def ask(http, auth=("nightly", SECRET), **form):
    form = {"grant_type": "client_credentials", "audience": "reports"} | form
    return http.post("/token", data=form, auth=auth)


def test_a_line_says_who_asked_for_what_and_how_it_ended(logged, lane, capfd):
    with logged(lane, ON) as (world, http):
        answer = ask(http)
        refused = ask(http, auth=("nightly", "wrong"))
        nowhere = http.get("/made-up?secret=hunter2")
        http.get("/livez")
    text = capfd.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    ids = [it.headers["x-request-id"] for it in (answer, refused, nowhere)]
    assert [line["request_id"] for line in lines] == ids
    assert [event["id"] for event in world.events()] == ids[:2]
    assert all(line.pop("ms") > 0 for line in lines)
    assert all(re.fullmatch(r"[\dT:.-]{23}Z", line.pop("time")) for line in lines)
    standing = {"level": "info", "logger": "tokenward.requests"}
    token = {"method": "POST", "route": "/token", "address": "127.0.0.1", "event": "token"}
    token["grant_type"] = "client_credentials"
    assert lines == [
        standing
        | token
        | {
            "message": "POST /token 200",
            "request_id": ids[0],
            "status": 200,
            "client": "nightly",
            "token": "reports",
            "outcome": "ok",
        },
        standing
        | token
        | {
            "message": "POST /token 401",
            "request_id": ids[1],
            "status": 401,
            "outcome": "invalid_client",
        },
        standing | {"message": "GET - 404", "request_id": ids[2], "method": "GET", "status": 404},
    ]


def test_a_line_may_be_text(logged, lane, capfd):
    with logged(lane, ON + 'format = "text"\n') as (_, http):
        id = ask(http).headers["x-request-id"]
    line = capfd.readouterr().err
    assert re.fullmatch(
        rf"[\dT:.-]{{23}}Z POST /token 200 request_id={id} ms=[\d.]+ address=127\.0\.0\.1 "
        r"event=token grant_type=client_credentials client=nightly token=reports outcome=ok\n",
        line,
    )


@pytest.mark.parametrize("table", ["", "[log]\n", "[log]\nrequests = false\n"])
def test_unless_it_is_wanted_nothing_is_written(logged, table, capfd):
    with logged(LANES["fast lane"], table) as (_, http):
        assert ask(http).status_code == 200
    assert capfd.readouterr().err == ""


def test_nothing_secret_is_in_it(logged, lane, capfd):
    ledger = Ledger()
    with logged(lane, ON) as (world, http):
        user = world.user_token(sub="auth0|ann-of-green-gables")
        ledger.token("the user's token", user)
        shown = {"Authorization": f"Bearer {user}"}
        ledger.token("theirs", http.get("/getToken", headers=shown).text)
        token = ask(http).json()["access_token"]
        ledger.token("ours", token)
        http.post("/introspect", data={"token": token}, auth=("reports-api", API_SECRET))
        http.get(f"/getToken?access_token={user}&other=in-the-query-" + "q" * 40)
        ask(http, grant_type="in-the-form-" + "f" * 40)
    for secret in (SECRET, API_SECRET, UPSTREAM_SECRET, "auth0|ann-of-green-gables"):
        ledger.secret(secret[:12], secret)
    ledger.secret("in a query", "in-the-query-" + "q" * 40)
    ledger.secret("in a form", "in-the-form-" + "f" * 40)
    text = capfd.readouterr().err
    ledger.wrote(world.folder / "standard error", text.encode())
    assert len(text.splitlines()) == 5
    ledger.check()


@contextmanager
def pipe():
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


def note(**more):
    said = {"id": "0123", "method": "POST", "route": "/token", "status": 200, "seconds": 0.0015}
    return Note(**{**said, **more})


async def test_no_name_can_look_like_something_else():
    with pipe() as (read, write):
        log = RequestLog(format="text", clock=lambda: NOON, to=write)
        await log.open()
        log.write(note(client='a b\n2027 GET /x="1"', token="übrig"))
        await log.close()
        line = os.read(read, 4_096).decode()
    assert line == (
        "2027-01-15T08:00:00.250Z POST /token 200 request_id=0123 ms=1.5 "
        'client="a b\\n2027 GET /x=\\"1\\"" token="übrig"\n'
    )


async def test_whoever_does_not_read_it_holds_up_nobody_and_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr(requestlog, "MOST", 200_000)
    monkeypatch.setattr(requestlog, "EVERY", 0.001)
    with pipe() as (read, write):
        log = RequestLog(clock=lambda: NOON, to=write)
        await log.open()
        for _ in range(4_000):
            log.write(note())
        kept = 200_000 // len(log._lines[0]) + 1
        assert len(log._lines) == kept
        heard = b""
        while b"lost" not in heard:
            await asyncio.sleep(0.002)
            heard += await asyncio.to_thread(os.read, read, 65_536)
        log.write(note(id="the last"))
        await log.close()
        heard += os.read(read, 65_536)
    *lines, lost, last = [json.loads(line) for line in heard.splitlines()]
    assert len(lines) == kept
    assert lost["message"] == f"{4_000 - kept} lines about requests were lost"
    assert last["request_id"] == "the last"


async def test_the_end_does_not_wait_for_whoever_does_not_read(monkeypatch):
    monkeypatch.setattr(requestlog, "LAST", 0.05)
    with pipe() as (read, write):
        log = RequestLog(to=write)
        await log.open()
        for _ in range(2_000):
            log.write(note())
        await asyncio.wait_for(log.close(), 5)
        thread = log._thread
        assert thread.is_alive()
        os.set_blocking(read, False)
        while thread.is_alive():
            with suppress(BlockingIOError):
                os.read(read, 65_536)
            await asyncio.sleep(0.001)


async def test_nobody_at_the_other_end_is_no_reason_to_fail():
    read, write = os.pipe()
    log = RequestLog(to=write)
    await log.open()
    os.close(read)
    log.write(note())
    await log.close()
    os.close(write)
    assert not log._thread.is_alive()
    log.write(note())  # it is closed, and nothing happens
    assert log._lines == []


async def test_a_pipe_that_would_block_is_tried_again():
    with pipe() as (read, write):
        os.set_blocking(write, False)
        log = RequestLog(to=write)
        await log.open()
        for _ in range(2_000):
            log.write(note())
        closing = asyncio.create_task(log.close())
        heard = b""
        while heard.count(b"\n") < 2_000:
            heard += await asyncio.to_thread(os.read, read, 65_536)
        await closing
    assert len([json.loads(line) for line in heard.splitlines()]) == 2_000


def test_lines_are_written_whole_and_few_at_a_time():
    lines = [b"x" * 999 + b"\n"] * 9 + [b"y" * 9_999 + b"\n"]
    found = list(pieces(lines))
    assert b"".join(found) == b"".join(lines)
    assert [len(piece) for piece in found] == [4_000, 4_000, 1_000, 10_000]
    assert all(piece.endswith(b"\n") for piece in found)
    assert AT_ONCE == 4_096
    assert list(pieces([])) == []


def test_a_trace_is_named_in_the_line(logged, lane, capfd):
    table = '[otel]\nendpoint = "http://127.0.0.1:1"\n' + ON
    with logged(lane, table) as (world, http):
        world.server.watchers.traces._collector.leave(0)  # nothing is sent
        ask(http)
        until_now(lambda: not world.server.watchers.watch._open)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["logger"] == "tokenward.requests"]
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
