"""The numbers say what happened, no more series than there are words, and nothing to strangers."""

import asyncio
import json
import random
import re
import string
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.docs import ROOT
from tests.server.toys import Wire, ask, front, request
from tests.upstream import says
from tests.world import API_SECRET, FILE, SECRET, hashed
from tokenward.server.metrics import BUCKETS, Metrics, Tally, together
from tokenward.server.serve import serving

OPENS = "metrics-" + "m" * 40
METERED = FILE.replace(
    "[issuers.main]",
    f'[metrics]\nsecrets = ["{hashed("other")}", "{hashed(OPENS)}"]\n[issuers.main]',
)


@pytest.fixture
async def world(worlds):
    async with worlds(file=METERED) as world:
        yield world


async def scraped(world):
    """All samples, by name and labels."""
    answer = await world.http.get("/metrics", headers={"Authorization": f"Bearer {OPENS}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found, name, **labels):
    return found.get((name, *sorted(labels.items())), 0)


async def test_the_numbers_are_what_was_done(world):
    for _ in range(3):
        token = (await world.token(audience="reports")).json()["access_token"]
    await world.token(auth=("nightly", "wrong"))
    await world.token(audience="nothing")
    await world.token(grant_type="password")
    user = world.user_token()
    for _ in range(4):
        assert (await world.get_token(user)).status_code == 200
    for _ in range(2):
        await world.http.post(
            "/introspect", data={"token": token}, auth=("reports-api", API_SECRET)
        )
    await world.http.get("/nowhere")
    found = await scraped(world)
    cc = {"grant": "client_credentials", "client": "nightly"}
    assert of(found, "tokenward_tokens_issued_total", token="reports", **cc) == 3
    exchanged = {"grant": "token_exchange", "client": "", "token": "itwin"}
    assert of(found, "tokenward_tokens_issued_total", **exchanged) == 4
    refused = "tokenward_requests_refused_total"
    nobody = {"kind": "token", "grant": "client_credentials", "client": "", "token": ""}
    assert of(found, refused, error="invalid_client", **nobody) == 1
    assert of(found, refused, kind="token", token="", error="invalid_target", **cc) == 1
    other = {"kind": "token", "grant": "other", "client": "nightly", "token": ""}
    assert of(found, refused, error="unsupported_grant_type", **other) == 1
    answered = {"kind": "introspection", "client": "reports-api"}
    assert of(found, "tokenward_questions_answered_total", **answered) == 2
    assert of(found, "tokenward_upstream_asked_total", token="itwin") == 1
    assert of(found, "tokenward_upstream_served_total", token="itwin") == 4
    assert of(found, "tokenward_upstream_avoided_total", token="itwin") == 3
    assert of(found, "tokenward_upstream_errors_total", token="itwin") == 0
    assert of(found, "tokenward_upstream_fetched_total", token="itwin") == 1
    assert of(found, "tokenward_upstream_refused_total", token="itwin") == 0
    assert of(found, "tokenward_upstream_seconds_count", token="itwin") == 1
    assert of(found, "tokenward_upstream_seconds_bucket", token="itwin", le="+Inf") == 1
    assert 0 < of(found, "tokenward_upstream_seconds_sum", token="itwin") < 10
    requests = "tokenward_http_requests_total"
    assert of(found, requests, route="/token", method="POST", status="200") == 3
    assert of(found, requests, route="/getToken", method="GET", status="200") == 4
    assert of(found, requests, route="", method="GET", status="404") == 1
    assert of(found, "tokenward_http_request_seconds_count", route="/getToken") == 4
    assert of(found, "tokenward_http_request_seconds_bucket", route="/getToken", le="+Inf") == 4
    assert of(found, "tokenward_build_info", version=__import__("tokenward").__version__) == 1
    assert of(found, "process_resident_memory_bytes") > 10_000_000


async def test_an_upstream_that_fails_is_counted(world):
    world.upstream.always = says(500)
    assert (await world.get_token(world.user_token())).status_code == 503
    found = await scraped(world)
    assert of(found, "tokenward_upstream_errors_total", token="itwin") == 1
    assert of(found, "tokenward_upstream_asked_total", token="itwin") >= 1
    assert of(found, "tokenward_upstream_served_total", token="itwin") == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {OPENS}x"},
        {"Authorization": f"Bearer {OPENS[:-1]}"},
        {"Authorization": f"Basic {OPENS}"},
        {"Authorization": OPENS},
        {"Authorization": f"Bearer {hashed(OPENS)}"},
        {"Authorization": "Bearer "},
        {"X-Metrics": OPENS},
    ],
)
async def test_nobody_else_sees_a_number(world, headers):
    answer = await world.http.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert "tokenward_" not in answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_secret_in_the_url_opens_nothing(world):
    assert (await world.http.get(f"/metrics?access_token={OPENS}")).status_code == 401


async def test_without_the_table_there_is_nothing(worlds):
    async with worlds() as world:
        headers = {"Authorization": f"Bearer {OPENS}"}
        assert (await world.http.get("/metrics", headers=headers)).status_code == 404


async def test_odd_questions_make_no_new_series(world):
    made = random.Random(7)  # noqa: S311 - not a secret

    def odd():
        return "".join(made.choices(string.ascii_letters, k=12))

    sizes = []
    for _ in range(3):
        for _ in range(100):
            await world.token(auth=(odd(), odd()), grant_type=odd(), scope=odd(), audience=odd())
            await world.http.request(odd().upper(), f"/{odd()}")
        sizes.append(len(await scraped(world)))
    assert sizes[1] == sizes[2] < 100


async def test_no_secret_token_or_subject_is_a_label(world):
    token = (await world.token(audience="reports")).json()["access_token"]
    await world.get_token(world.user_token())
    headers = {"Authorization": f"Bearer {OPENS}"}
    text = (await world.http.get("/metrics", headers=headers)).text
    for hidden in (SECRET, OPENS, token, "auth0|ann", token.split(".")[2]):
        assert hidden not in text


def test_both_lanes_count(tmp_path):
    tally = Tally()
    with serving(front(seen=tally.seen)) as url:
        for _ in range(3):
            ask(url)
        with Wire(url) as wire:
            wire.say(request("POST", "/token", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
            assert wire.hear().status == 200
        ask(url, path="/nowhere")
        ask(url, "DELETE")
        ask(url, "BREW")
    assert tally.requests["/token", "GET", "200"] == 3
    assert tally.requests["", "GET", "404"] == 1
    assert tally.requests["/token", "POST", "200"] == 1
    assert tally.requests["/token", "other", "405"] >= 1
    assert sum(tally.seconds["/token"][:-1]) >= 5


def test_a_span_is_in_the_bucket_that_holds_it():
    tally = Tally()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] * 1.01, 100.0):
        tally.seen("/", "GET", 200, seconds, "")
    assert tally.seconds["/"][:2] == [2, 1]
    assert tally.seconds["/"][-2] == 1
    assert tally.seconds["/"][-1] == pytest.approx(100 + BUCKETS[0] * 2.01)


def write(path, text):
    path.write_text(text)


async def test_processes_are_counted_together_and_the_dead_are_not_forgotten(tmp_path):
    ours = Metrics(folder=tmp_path)
    ours.tally.seen("/token", "POST", 200, 0.001, "")
    dead = Tally()
    dead.seen("/token", "POST", 200, 0.002, "")
    dead.seen("/jwks", "GET", 200, 0.002, "")
    waited = {"itwin": [0, 1, 0.5]}
    said = {"upstreams": {"itwin": {"asked": 2}}, "waited": waited}
    left_behind = json.dumps({**dead.numbers(), **said})
    write(tmp_path / "1.json", left_behind)
    write(tmp_path / "2.json", "{half a fi")
    mine = {"upstreams": {"itwin": {"asked": 1}}, "waited": {"itwin": [1, 1, 0.25]}}
    ours.more = lambda: {**mine, "keys": {"main": 5}}
    await ours.open()
    await asyncio.sleep(0.05)
    numbers = ours.numbers()
    assert ["/token", "POST", "200", 2] in numbers["requests"]
    assert ["/jwks", "GET", "200", 1] in numbers["requests"]
    assert numbers["upstreams"] == {"itwin": {"asked": 3}}
    assert numbers["waited"] == {"itwin": [1, 2, 0.75]}
    assert numbers["keys"] == {"main": 5}
    await ours.close()
    left = [json.loads(path.read_text()) for path in tmp_path.glob("[3-9]*.json")]
    assert len(list(tmp_path.glob("*.draft"))) == 0
    assert together(left)["requests"] == [["/token", "POST", "200", 1]] or left == []


async def test_every_metric_is_in_the_page_and_the_other_way_round(world):
    token = (await world.token(audience="reports")).json()["access_token"]
    await world.token(audience="nothing")
    await world.get_token(world.user_token())
    await world.http.post("/introspect", data={"token": token}, auth=("reports-api", API_SECRET))
    found = {name for name, *_ in await scraped(world) if not name.startswith("process_")}
    found = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in found}
    page = (ROOT / "docs" / "howto" / "watch-it.md").read_text()
    told = set(re.findall(r"`(tokenward_[a-z_]+)`", page))
    assert found == told


def test_alerts_ask_for_metrics_that_there_are():
    page = (ROOT / "docs" / "howto" / "watch-it.md").read_text()
    told = set(re.findall(r"`(tokenward_[a-z_]+)`", page))
    alerts = (ROOT / "deploy" / "prometheus-alerts.yml").read_text()
    asked = {name.removesuffix("_bucket") for name in re.findall(r"tokenward_[a-z_]+", alerts)}
    assert asked <= told
    runbook = (ROOT / "docs" / "howto" / "runbook.md").read_text()
    for anchor in re.findall(r"runbook\.md#([a-z0-9-]+)", alerts):
        assert f"## {anchor.replace('-', ' ')}" in runbook.lower()


def test_a_server_without_metrics_imports_none_of_it():
    asked = "import tokenward.server.app, sys; print('prometheus_client' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
