"""The tutorial and the page on protecting an API: what they show is done here, in their order."""

import json
import re
import threading
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx2
import pytest

from tests.docs import ROOT, examples
from tests.pasting import checkout, unmarked
from tests.running import free_port
from tokenward.jose.keys import SigningKey

TUTORIAL, PROTECT = "docs/tutorial.md", "docs/howto/protect-an-api.md"
STEPS = examples(TUTORIAL)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with checkout(tmp_path_factory.mktemp("checkout")) as shell:
        yield shell


@pytest.fixture(scope="module")
def said(shell):
    """What each step says, by name; all of them in one shell, one after the other."""
    port = str(free_port())
    script = "".join(f"printf '\\n@@{name}\\n'\n{step.code}" for name, step in STEPS.items())
    out = shell.paste(script.replace("3002", port), sourced=False)
    parts = re.split(r"\n@@([\w-]+)\n", out)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_step_is_looked_at():
    here = (ROOT / "tests/stories/test_tutorial.py").read_text("utf-8")
    assert [name for name in STEPS if f'"{name}"' not in here] == []
    assert [code.strip() for code in unmarked(TUTORIAL)] == ["./tokenward dev"]


def test_ann_signs_in_and_her_token_can_be_read(said):
    assert said["source"] == ""
    assert "  sub          auth0|ann" in said["sign-in"]
    assert '  permissions  ["models:read", "models:write"]' in said["sign-in"]


def test_she_gets_a_token_that_speaks_of_the_service_alone(said, shell):
    assert re.fullmatch(r"Bearer ey[\w.-]+", said["ask"].strip())
    assert f"  iss        {shell.dev.urls['itwin']}" in said["look"]
    assert "service-practice" in said["look"]
    assert "ann" not in said["look"]


def test_it_opens_the_platform(said):
    assert json.loads(said["use"])["user"]["displayName"] == "service-practice"


def test_bob_hears_no_and_the_trail_knows_why(said):
    assert said["bob"].startswith("No token: ")
    event = json.loads(said["trail"])
    assert (event["outcome"], event["subject"]) == ("refused", "mobile|auth0|bob")
    assert "wants other claims: permissions" in event["detail"]
    assert "wants other claims: permissions" in said["explain"]


def test_the_file_of_ones_own_is_right_and_stricter(said):
    assert (said["configure"], said["secrets"]) == ("", "")
    assert said["check"].splitlines()[-1] == "ok"
    ready, _, answers = said["serve"].partition("}")
    assert ready.startswith('{"status":"ready"')
    assert re.fullmatch(r"Bearer ey[\w.-]+No token: .+\n?", answers)


# ── protecting an API ────────────────────────────────────────────────────────────────────────────

WORLD = {
    "https://tokens.example.com": "{issuer}",
    "https://api.example.com/reports": "https://reports.example.com",
}


def example(shell, name):
    """The names that an example of that page defines, with the dev server as its issuer."""
    here = {there: it.format(issuer=shell.dev.url) for there, it in WORLD.items()}
    return examples(PROTECT)[name].run(here)


def token(shell, scope="reports:read"):
    form = {"grant_type": "client_credentials", "scope": scope}
    auth = ("demo", shell.dev.said["client_secret"])
    return httpx2.post(shell.dev.urls["token"], data=form, auth=auth).json()["access_token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_every_example_of_that_page_is_run_here():
    here = (ROOT / "tests/stories/test_tutorial.py").read_text("utf-8")
    assert [name for name in examples(PROTECT) if f'"{name}"' not in here] == []
    assert unmarked(PROTECT) == []


async def test_with_fastapi(shell):
    app = example(shell, "fastapi")["app"]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://api"
    ) as http:
        assert (await http.get("/reports")).status_code == 401
        read = await http.get("/reports", headers=bearer(token(shell)))
        assert read.json() == {"reports": ["bridges", "tunnels"], "read_by": "demo"}
        refused = await http.put("/reports", headers=bearer(token(shell)))
        assert refused.status_code == 403
        assert 'scope="reports:read reports:write"' in refused.headers["www-authenticate"]
        both = token(shell, "reports:read reports:write")
        changed = await http.put("/reports", headers=bearer(both))
        assert changed.json() == {"changed_by": "demo"}


async def test_with_any_asgi_application(shell):
    app = example(shell, "asgi")["app"]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://api"
    ) as http:
        assert (await http.get("/health")).text == "ok"
        assert (await http.get("/reports")).status_code == 401
        read = await http.get("/reports", headers=bearer(token(shell)))
        assert read.json() == {"read_by": "demo"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def wsgi(app):
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_with_threads(shell):
    with wsgi(example(shell, "wsgi")["app"]) as url:
        refused = httpx2.get(url)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer ")
        assert httpx2.get(url, headers=bearer("x")).status_code == 401
        assert httpx2.get(url, headers=bearer(token(shell))).text == "read by demo"


def test_by_hand(shell):
    who_reads = example(shell, "by-hand")["who_reads"]
    assert who_reads(token(shell)) == "demo"
    assert who_reads(token(shell, "reports:write")) == "it takes reports:read"
    assert who_reads("x.y.z").startswith("not believed: ")


def test_by_hand_while_nobody_answers():
    nowhere = f"http://127.0.0.1:{free_port()}"
    there = {**WORLD, "https://tokens.example.com": nowhere}
    who_reads = examples(PROTECT)["by-hand"].run(there)["who_reads"]
    forged = SigningKey.generate("ES256").sign({"iss": nowhere, "exp": 9e9}, typ="at+jwt")
    assert re.fullmatch(r"ask again in \d+ seconds", who_reads(forged))
