"""A whole server that is watched: each process tells of each request, to the very last one."""

import json

import pytest

from tests.cli.processes import SECRET, Load, Served
from tests.collector import Collector
from tests.leaks import Ledger


@pytest.fixture
def served(tmp_path):
    with Served(folder=tmp_path) as made:
        yield made


def test_each_request_is_one_span_one_line_and_one_event_whichever_process_it_was(served):
    with Collector() as collector:
        otel = f'[otel]\nendpoint = "{collector.url}"\nservice = "tokens"'
        served.listen = f"workers = 2\n{otel}\n[log]\nrequests = true"
        served.start()
        with Load(served) as load:
            load.more(60)
            served.write(scope="reports:write")
            assert "the configuration was read anew" in served.reload()
            load.more(60)
        token = json.loads(served.ask()[1])["access_token"]
        assert served.ask("/introspect", token=token)[0] in (200, 401)
        assert served.stop() == 0
    assert set(load.heard) == {200}
    trail = [json.loads(line) for line in (served.folder / "audit.jsonl").read_text().splitlines()]
    lines = [json.loads(line) for line in served.err.splitlines() if line.startswith("{")]
    requests = [span for span in collector.spans if span.kind == "server"]
    ids = sorted(event["id"] for event in trail)
    assert len(set(ids)) == len(ids) == load.heard[200] + 2
    assert sorted(line["request_id"] for line in lines) == ids
    assert sorted(span.said["tokenward.request_id"] for span in requests) == ids
    traces = {span.said["tokenward.request_id"]: span.trace for span in requests}
    assert {line["request_id"]: line["trace_id"] for line in lines} == traces
    assert len({span.by["process.pid"] for span in requests}) == 2
    assert {span.by["service.name"] for span in requests} == {"tokens"}
    ledger = Ledger()
    ledger.secret("the client's secret", SECRET)
    ledger.token("a token", token)
    ledger.wrote(served.folder / "err", served.err.encode())
    for number, body in enumerate(collector.bodies):
        ledger.wrote(served.folder / f"batch {number}", body)
    ledger.check()


def test_without_the_extra_the_server_does_not_start_and_says_what_to_do(served):
    hidden = served.folder / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("")  # takes the place of the real one
    served.listen = '[otel]\nendpoint = "http://127.0.0.1:4318"'
    served.write()
    with pytest.raises(AssertionError, match="pip install 'tokenward\\[server,otel\\]'"):
        served.start(PYTHONPATH=str(hidden.parent))
    assert served.process.returncode == 78
