"""Each request is a span, in both lanes alike; nothing secret is in it, and nobody waits for it."""

import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import httpx2
import pytest

from tests.collector import THEIRS, Collector
from tests.leaks import Ledger
from tests.server.toys import LANES
from tests.servers import Issuer, until_now
from tests.upstream import Upstream, says
from tests.world import API_SECRET, FILE, SECRET, TOKEN_EXCHANGE, UPSTREAM_SECRET, World
from tokenward.jose.keys import SigningKey
from tokenward.server import collector as exporter
from tokenward.server import tracing, watching
from tokenward.server.config import ConfigError
from tokenward.server.http import Received
from tokenward.server.renewal import Renewable, changed
from tokenward.server.serve import serving
from tokenward.server.settings import load

KEY = "collector-key-" + "k" * 40
TRACE, BEFORE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{BEFORE}-01"
KEYS = "/.well-known/jwks.json"
PROXY = '[proxy]\ntrusted = ["127.0.0.1"]\n'


class Traced:
    """A world that is traced, and served."""

    def __init__(self, world, collector, http):
        self.world, self.collector, self.http = world, collector, http

    def token(self, path="/token", *, auth=("nightly", SECRET), headers=None, **form):
        form.setdefault("grant_type", "client_credentials")
        return self.http.post(path, data=form, auth=auth, headers=headers)

    def get_token(self, token):
        return self.http.get("/getToken", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def traced(worlds, tmp_path, monkeypatch):
    """Serves traced worlds; ``worlds`` is for keys that are ready."""
    monkeypatch.setattr(tracing, "DELAY", 0.02)

    @contextmanager
    def serve(lane=LANES["fast lane"], *, otel="", more="", headers=None):
        with ExitStack() as stack:
            friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
            upstream = stack.enter_context(Upstream())
            collector = stack.enter_context(Collector())
            table = f'[otel]\nendpoint = "{collector.url}"\n{otel}\n{more}'
            file = FILE.replace("[issuers.main]", f"{table}\n[issuers.main]")
            world = World(tmp_path, friend, upstream, file=file)
            url = stack.enter_context(serving(lane(world.app)))
            http = httpx2.Client(base_url=url, trust_env=False, headers=headers)
            yield Traced(world, collector, stack.enter_context(http))

    return serve


@pytest.fixture(params=LANES.values(), ids=LANES)
def lane(request):
    return request.param


# What a span says


def test_a_request_is_a_span_that_says_who_asked_for_what(traced, lane):
    began = time.time_ns()
    with traced(lane) as it:
        answer = it.token(audience="reports")
        (span,) = it.collector.wait(1)
    assert answer.status_code == 200
    assert span.said == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 200,
        "tokenward.request_id": answer.headers["x-request-id"],
        "tokenward.event": "token",
        "tokenward.grant_type": "client_credentials",
        "tokenward.client": "nightly",
        "tokenward.token": "reports",
        "tokenward.outcome": "ok",
    }
    assert (span.name, span.kind, span.parent, span.failed) == ("POST /token", "server", "", False)
    assert began < span.began <= span.ended < time.time_ns()
    assert span.by["service.name"] == "tokenward"
    assert {"service.version", "process.pid"} < span.by.keys()
    (trail,) = it.world.events()
    assert trail["id"] == span.said["tokenward.request_id"]


WAYS = {
    "a wrong secret": (
        lambda it: it.token(auth=("nightly", "wrong")),
        {"status": 401, "grant": "client_credentials", "outcome": "invalid_client"},
    ),
    "a client nobody knows": (
        lambda it: it.token(auth=("made-up", "wrong")),
        {"status": 401, "grant": "client_credentials", "outcome": "invalid_client"},
    ),
    "no rule": (
        lambda it: it.token(audience="nothing"),
        {
            "status": 400,
            "grant": "client_credentials",
            "client": "nightly",
            "outcome": "invalid_target",
        },
    ),
    "an odd grant type": (
        lambda it: it.token(grant_type="password-hunter2"),
        {
            "status": 400,
            "grant": "other",
            "client": "nightly",
            "outcome": "unsupported_grant_type",
        },
    ),
    "another method": (lambda it: it.http.delete("/token"), {"status": 405, "method": "DELETE"}),
    "a method nobody knows": (
        lambda it: it.http.request("PROPFIND", "/token"),
        {"status": 405, "method": "_OTHER"},
    ),
    "no route": (
        lambda it: it.http.get("/made-up?secret=hunter2"),
        {"status": 404, "method": "GET", "route": ""},
    ),
    "keys": (
        lambda it: it.http.get(KEYS),
        {"status": 200, "method": "GET", "route": KEYS},
    ),
}


@pytest.mark.parametrize(("ask", "wanted"), WAYS.values(), ids=WAYS)
def test_a_span_says_how_it_ended_and_nothing_that_somebody_made_up(traced, lane, ask, wanted):
    with traced(lane) as it:
        status = ask(it).status_code
        (span,) = it.collector.wait(1)
        raw = b"".join(it.collector.bodies)
    said = {"method": "POST", "route": "/token"} | wanted
    names = {
        "method": "http.request.method",
        "route": "http.route",
        "status": "http.response.status_code",
        "grant": "tokenward.grant_type",
        "client": "tokenward.client",
        "outcome": "tokenward.outcome",
    }
    assert status == wanted["status"]
    assert {key: span.said.get(name, "") for key, name in names.items()} == {
        key: said.get(key, "") for key in names
    }
    assert not span.failed  # it was no fault of ours
    for made_up in (b"hunter2", b"made-up", b"PROPFIND"):
        assert made_up not in raw


def test_both_lanes_say_the_same(traced):
    told = []
    for lane in LANES.values():
        with traced(lane) as it:
            it.token(audience="reports")
            it.get_token(it.world.user_token())
            it.get_token("nonsense")
            it.http.get("/nowhere")
            it.collector.wait(5)
            for one in it.collector.spans:
                one.said.pop("tokenward.request_id", None)
            said = [
                (one.name, one.kind, bool(one.parent), one.failed, *sorted(one.said.items()))
                for one in it.collector.spans
            ]
            told.append(sorted(said, key=repr))
    assert told[0] == told[1]
    assert len(told[0]) == 5


def test_those_who_ask_all_the_time_are_no_spans_unless_something_is_wrong(traced, lane):
    with traced(lane) as it:
        for path in ("/livez", "/readyz", "/healthz"):
            assert it.http.get(path).status_code == 200
        assert it.http.get("/metrics").status_code == 404  # is not there
        assert it.http.post("/livez").status_code == 405
        spans = it.collector.wait(2)
    assert [span.said["http.response.status_code"] for span in spans] == [404, 405]


# What a request leads to


def test_a_question_upstream_is_below_it_and_the_upstream_is_told(traced, lane):
    with traced(lane) as it:
        for _ in range(2):
            assert it.get_token(it.world.user_token()).status_code == 200
        it.collector.wait(3)
        (question,) = it.world.upstream.questions
    below = it.collector.only(server__address="127.0.0.1")
    first, second = (span for span in it.collector.spans if span.kind == "server")
    above = min(first, second, key=lambda span: span.began)
    assert (below.kind, below.name, below.failed) == ("client", "POST", False)
    assert (below.trace, below.parent) == (above.trace, above.id)
    assert first.trace != second.trace
    assert below.said["http.response.status_code"] == 200
    assert question.headers["traceparent"] == f"00-{below.trace}-{below.id}-01"
    assert "tracestate" not in question.headers
    assert "baggage" not in question.headers


def test_whom_we_only_trust_hears_of_no_trace(traced):
    with traced(more=PROXY, headers={"traceparent": GIVEN}) as it:
        assert it.get_token(it.world.user_token()).status_code == 200
        it.collector.wait(2)
        assert it.world.friend.seen
        assert not [headers for headers in it.world.friend.seen if "traceparent" in headers]


def test_an_upstream_that_fails_is_seen(traced, lane):
    with traced(lane) as it:
        it.world.upstream.always = says(500)
        assert it.get_token(it.world.user_token()).status_code == 503
        it.collector.wait(2)
    above = it.collector.only(http__route="/getToken")
    tries = [span for span in it.collector.spans if span.kind == "client"]
    assert above.failed
    assert above.said["tokenward.outcome"] == "temporarily_unavailable"
    assert above.said["error.type"] == "temporarily_unavailable"
    assert tries
    assert all(span.failed and span.said["error.type"] == "500" for span in tries)


def test_a_write_is_below_its_request_and_does_not_say_what_was_written(traced, lane):
    with traced(lane) as it:
        token = it.token(audience="reports").json()["access_token"]
        answer = it.http.post("/revoke", data={"token": token}, auth=("nightly", SECRET))
        assert answer.status_code == 200
        it.collector.wait(3)
    above = it.collector.only(http__route="/revoke")
    (below,) = [span for span in it.collector.spans if span.parent == above.id]
    assert (below.kind, below.said) == ("internal", {})
    assert re.fullmatch("store (put|add)", below.name)


# Who comes before us


def test_a_trusted_proxy_says_which_trace_it_belongs_to(traced, lane):
    with traced(lane, more=PROXY, headers={"traceparent": GIVEN}) as it:
        it.token(audience="reports")
        (span,) = it.collector.wait(1)
    assert (span.trace, span.parent) == (TRACE, BEFORE)


def test_a_stranger_cannot_write_into_somebodys_trace(traced, lane):
    with traced(lane, headers={"traceparent": GIVEN}) as it:
        it.token(audience="reports")
        (span,) = it.collector.wait(1)
    assert span.trace != TRACE
    assert span.parent == ""


@pytest.mark.parametrize(
    "said",
    [
        "",
        GIVEN.upper(),
        GIVEN[:-1],
        GIVEN + "0",
        GIVEN + "-more",
        GIVEN.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-{BEFORE}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{BEFORE}-0g",
        f"00-{TRACE}-{BEFORE}-01\n",
        f"{TRACE}-{BEFORE}-01",
    ],
)
def test_what_is_no_traceparent_is_nobody_before_us(said):
    received = Received("GET", "/", headers=((b"traceparent", said.encode()),), vouched=True)
    assert not tracing._parent(received)
    good = received._replace(headers=((b"traceparent", GIVEN.encode()),))
    assert tracing._parent(good)
    assert not tracing._parent(good._replace(vouched=False))
    assert not tracing._parent(good._replace(headers=good.headers * 2))


def test_a_later_version_may_say_more():
    headers = ((b"traceparent", GIVEN.replace("00-", "cc-", 1).encode() + b"-what-ever"),)
    assert tracing._parent(Received("GET", "/", headers=headers, vouched=True))


@pytest.mark.parametrize(("flag", "spans"), [("00", 0), ("01", 2)])
def test_whether_it_is_recorded_is_for_the_proxy_to_say(traced, lane, flag, spans):
    said = {"traceparent": f"{GIVEN[:-2]}{flag}"}
    with traced(lane, otel=f"sampled = {1 - int(flag)}", more=PROXY, headers=said) as it:
        assert it.get_token(it.world.user_token()).status_code == 200
        (question,) = it.world.upstream.questions
    assert len(it.collector.spans) == spans  # the server has stopped: no more will come
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-{flag}", question.headers["traceparent"])


# Nothing secret


def test_nothing_secret_and_nobodys_name_is_in_a_trace(traced, lane):
    ledger = Ledger()
    with traced(lane, otel=f'headers = {{{{ "api-key" = "{KEY}" }}}}') as it:
        user = it.world.user_token(sub="auth0|ann-of-green-gables")
        ledger.token("the user's token", user)
        ledger.token("theirs", it.get_token(user).text)
        for answer in (
            it.token(audience="reports"),
            it.token(grant_type=TOKEN_EXCHANGE, subject_token=user, audience="itwin"),
        ):
            ledger.tokens("an answer", answer.json())
        ours = it.token(audience="reports").json()["access_token"]
        ledger.token("ours", ours)
        for path in ("/introspect", "/revoke"):
            it.http.post(path, data={"token": ours}, auth=("reports-api", API_SECRET))
        it.http.get("/getToken?access_token=in-the-query-" + "q" * 40)
        it.token(client_secret="in-the-form-" + "f" * 40)
    for secret in (SECRET, API_SECRET, UPSTREAM_SECRET, KEY, "auth0|ann-of-green-gables"):
        ledger.secret(secret[:12], secret)
    ledger.secret("in a query", "in-the-query-" + "q" * 40)
    ledger.secret("in a form", "in-the-form-" + "f" * 40)
    for number, body in enumerate(it.collector.bodies):
        ledger.wrote(it.world.folder / f"batch {number}", body)
    assert len(it.collector.spans) >= 8
    ledger.check()
    assert all(headers["api-key"] == KEY for _, headers in it.collector.asked)


def test_the_subject_is_said_only_if_that_is_asked_for(traced):
    with traced(otel="subject = true") as it:
        it.get_token(it.world.user_token())
        it.collector.wait(2)
    assert it.collector.only(http__route="/getToken").said["user.id"] == "mobile|auth0|ann"


# Nobody waits


def test_a_collector_that_never_answers_holds_up_nobody(traced, lane, monkeypatch):
    monkeypatch.setattr(tracing, "LAST", 0.3)
    monkeypatch.setattr(tracing, "QUEUE", 64)
    monkeypatch.setattr(tracing, "BATCH", 16)
    with traced(lane) as it:
        it.collector.hang = True
        assert it.token(audience="reports").status_code == 200
        until_now(lambda: it.collector.bodies)
        # More than it remembers: what does not fit is lost, and every one is answered.
        assert {it.token(audience="reports").status_code for _ in range(100)} == {200}
        queue = it.world.server.watchers.traces._processor._batch_processor._queue
        assert len(queue) == 64
        assert len(it.collector.bodies) == 1
        began = time.monotonic()
    assert time.monotonic() - began < 5.0  # one try would take that long, and 4 batches wait
    assert not it.collector.spans


def test_a_collector_that_is_not_there_is_nobodys_fault(traced, monkeypatch, caplog):
    monkeypatch.setattr(exporter, "PAUSES", (0.0, 0.01))
    with traced() as it:
        monkeypatch.setattr(
            it.world.server.watchers.traces._collector, "_url", "http://127.0.0.1:1/v1/traces"
        )
        for _ in range(3):
            assert it.token(audience="reports").status_code == 200
            until_now(lambda: "lost" in caplog.text)
    said = [one.getMessage() for one in caplog.records if one.name.startswith("tokenward")]
    assert said == ["traces are lost: 127.0.0.1 refuses connections"]


def test_what_is_under_way_at_the_end_is_still_sent(traced, monkeypatch):
    monkeypatch.setattr(tracing, "DELAY", 60)
    with traced() as it:
        for _ in range(5):
            it.token(audience="reports")
        assert not it.collector.spans
    assert len(it.collector.spans) == 5


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_collector_that_is_busy_is_tried_again(traced, monkeypatch, status):
    monkeypatch.setattr(exporter, "PAUSES", (0.0, 0.01, 0.01))
    with traced() as it:
        it.collector.statuses.extend([status, status])
        it.token(audience="reports")
        it.collector.wait(1)
    assert len(it.collector.bodies) == 3
    assert len(set(it.collector.bodies)) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
def test_one_that_will_not_have_it_is_not(traced, monkeypatch, caplog, status):
    monkeypatch.setattr(exporter, "PAUSES", (0.0, 0.01, 0.01))
    with traced() as it:
        it.collector.statuses.append(status)
        it.token(audience="reports")
        until_now(lambda: "lost" in caplog.text)
        it.token(audience="reports")
        it.collector.wait(1)
    assert len(it.collector.bodies) == 2
    assert [one.getMessage() for one in caplog.records if one.name == "tokenward.server"] == [
        f"traces are lost: {'127.0.0.1' if status == 302 else 'the collector'} answered {status}"
        + (", a redirect, which is not followed" if status == 302 else ""),
        "traces are taken again; 1 spans were lost",
    ]
    assert THEIRS not in caplog.text


def test_requests_whose_end_nobody_tells_are_forgotten(monkeypatch):
    monkeypatch.setattr(watching, "MOST_OPEN", 3)
    watch = watching.Watch()
    for number in range(9):
        watch.begin(Received("GET", "/", id=str(number)))
    assert list(watch._open) == ["6", "7", "8"]


# Settings


def file_with(tmp_path, table):
    path = tmp_path / "tokenward.toml"
    path.write_text(f'store = "memory:"\n{table}\n[issuers.main]\nurl = "https://us.example"\n')
    return path


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://traces.example/otlp/v1/traces", "https://traces.example/otlp/v1/traces"),
    ],
)
def test_the_endpoint_may_have_no_path(tmp_path, endpoint, url):
    settings = load(file_with(tmp_path, f'[otel]\nendpoint = "{endpoint}"'), {})
    assert settings.otel.url == url
    assert settings.otel.sampled == 1.0
    assert settings.otel.subject is False


@pytest.mark.parametrize(
    ("table", "place", "message"),
    [
        ("[otel]", "endpoint", "is missing"),
        ('[otel]\nendpoint = ""', "endpoint", "is empty"),
        ('[otel]\nendpoint = "collector:4318"', "endpoint", "must start with https"),
        ('[otel]\nendpoint = "http://me@collector"', "endpoint", "must have neither user"),
        ('[otel]\nendpoint = "ftp://collector"', "endpoint", "must start with https"),
        (
            '[otel]\nendpoint = "http://collector"\nheaders = { key = "${KEY}" }',
            "endpoint",
            "must be https if there are headers",
        ),
        (
            '[otel]\nendpoint = "https://c.example"\nheaders = { "a b" = "${KEY}" }',
            "headers",
            "must be names and values",
        ),
        (
            '[otel]\nendpoint = "https://c.example"\nheaders = { a = "${TWO}" }',
            "headers",
            "must be names and values",
        ),
        (
            '[otel]\nendpoint = "https://c.example"\nheaders = { Host = "${KEY}" }',
            "headers",
            "must be names and values",
        ),
        ('[otel]\nendpoint = "https://c.example"\nsampled = 2', "sampled", "from 0 to 1"),
        ('[otel]\nendpoint = "https://c.example"\nsampled = -0.1', "sampled", "from 0 to 1"),
        ('[otel]\nendpoint = "https://c.example"\nsampled = true', "sampled", "from 0 to 1"),
        ('[otel]\nendpoint = "https://c.example"\nsampled = "1"', "sampled", "from 0 to 1"),
        ('[otel]\nendpoint = "https://c.example"\nservice = " "', "service", "is empty"),
        ('[otel]\nendpoint = "https://c.example"\nsubjects = true', "subjects", "is not a key"),
        ('[log]\nrequests = "yes"', "requests", "true or false"),
        ('[log]\nformat = "xml"', "format", "must be one of"),
        ("[log]\nlevel = 3", "level", "is not a key"),
    ],
)
def test_what_will_not_do_is_said_with_its_place(tmp_path, table, place, message):
    with pytest.raises(ConfigError) as no:
        load(file_with(tmp_path, table), {"KEY": KEY, "TWO": f"{KEY}\nX: y"})
    (problem,) = no.value.problems
    assert problem.place.endswith(f".{place}")
    assert message in problem.message
    assert KEY not in str(no.value)


def test_a_key_in_the_file_itself_is_warned_of_and_not_shown(tmp_path):
    table = f'[otel]\nendpoint = "https://c.example"\nheaders = {{ key = "{KEY}" }}'
    settings = load(file_with(tmp_path, table), {})
    (warning,) = [one for one in settings.warnings if "otel" in one.place]
    assert "may be a secret" in warning.message
    assert KEY not in str(warning) + repr(settings)


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.common"]
)
def test_without_the_extra_it_says_which_command_installs_it(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError) as no:
        load(file_with(tmp_path, '[otel]\nendpoint = "https://c.example"'), {})
    (problem,) = no.value.problems
    assert problem.place.endswith("otel")
    assert "pip install 'tokenward[server,otel]'" in problem.message


async def test_another_configuration_while_it_runs_is_traced_as_the_first_one_was(traced, tmp_path):
    with traced() as it:
        settings = it.world.settings
    renewable = Renewable(settings)
    with Collector() as collector:
        traces = renewable._server.watchers.traces
        traces._collector._url = f"{collector.url}/v1/traces"
        await renewable.front._start()
        other = replace(settings, otel=replace(settings.otel, service="other"), lane="asgi")
        assert changed(settings, other) == ["otel"]
        await renewable.renew(other)
        assert renewable._server.watchers.traces is traces
        transport = httpx2.ASGITransport(renewable.front)
        async with httpx2.AsyncClient(transport=transport, base_url="https://us.example") as http:
            assert (await http.get(KEYS)).status_code == 200
        await renewable.front._stop()
    (span,) = collector.spans
    assert span.by["service.name"] == "tokenward"


# Off


def test_without_the_tables_nothing_hangs_anywhere(worlds, tmp_path):
    """Counted: not one call into any of it for a request, where there are some with it."""
    ours = re.compile(r"/(watch\w+|trac\w+|requestlog|collector)\.py$|/opentelemetry/")

    def calls(file):
        found, counting = [], threading.Event()

        def called(frame, event, _):
            if event == "call" and counting.is_set() and ours.search(frame.f_code.co_filename):
                found.append(frame.f_code.co_qualname)

        with ExitStack() as stack:
            friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
            world = World(tmp_path, friend, stack.enter_context(Upstream()), file=file)
            threading.setprofile(called)
            stack.callback(threading.setprofile, None)
            url = stack.enter_context(serving(world.app))
            http = stack.enter_context(httpx2.Client(base_url=url, trust_env=False))
            for rounds in range(2):  # the second time all that is done once has been done
                form = {"grant_type": "client_credentials", "audience": "reports"}
                assert http.post("/token", data=form, auth=("nightly", SECRET)).is_success
                assert http.get(KEYS).is_success
                shown = {"Authorization": f"Bearer {world.user_token()}"}
                assert http.get("/getToken", headers=shown).is_success
                (counting.clear if rounds else counting.set)()
        return found, world.server

    none, server = calls(FILE)
    assert none == []
    assert (server.watchers.seen, server.watchers.event) == (None, None)
    some, _ = calls(FILE.replace("[issuers.main]", "[log]\nrequests = true\n[issuers.main]"))
    assert {"Watch.begin", "Watch.event", "Watch.seen"} <= set(some)


def test_a_server_that_is_not_traced_imports_none_of_it():
    asked = (
        "import tokenward.server.app, tokenward.server.__main__, sys;"
        "print([it for it in sys.modules if it.startswith(('opentelemetry', 'google.protobuf'))"
        " or it in ('tokenward.server.tracing', 'tokenward.server.requestlog', 'requests')])"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
