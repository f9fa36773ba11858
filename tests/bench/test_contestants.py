"""Those who take part: they do the work they are measured for, and who is missing is named."""

import json
import os
import sys
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from bench import neighbours, node
from bench.answering import Answering
from bench.contestants import AUTHLIB, EXPRESS, OIDC, OURS, REFRESH
from bench.contestants.oidc_provider import first_of_chain
from bench.field import Field
from bench.ours import Ours
from bench.processes import Cores, Program
from bench.requests import HANDLE, basic, post
from bench.rows import verify
from bench.rows.client_credentials import signed_with
from bench.wrk import Void
from tests.docs import ROOT
from tests.servers import until_now
from tokenward import Verifier
from tokenward.jose.keys import SigningKey

EVERY_CORE = frozenset(os.sched_getaffinity(0))
WITHOUT_NODE = "there is no npm; ask somebody"


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Everybody who needs no node."""
    patch = pytest.MonkeyPatch()

    def missing(_say):
        raise Void(WITHOUT_NODE)

    patch.setattr(node, "bring", missing)
    made = Field(folder=tmp_path_factory.mktemp("field"), cores=Cores.ours(), say=lambda _: None)
    made.start({OURS, REFRESH, AUTHLIB, OIDC, EXPRESS, "SQLite"})
    yield made
    made.stop()
    patch.undo()


def asked(port, path, form=None, headers=None):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    head = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    connection.request("POST" if form else "GET", path, urlencode(form or {}), head)
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


@pytest.mark.parametrize("who", [OIDC, EXPRESS])
def test_who_is_missing_is_named_with_what_would_help(field, who):
    with pytest.raises(Void, match=f"{who} is missing: {WITHOUT_NODE}"):
        field.server(who)
    with pytest.raises(Void, match="is missing"):
        field.library("node")


def test_what_a_contestant_cannot_do_is_said(field):
    with pytest.raises(Void, match="Authlib has no refresh"):
        field.requests(field.server(AUTHLIB), REFRESH)


def test_a_file_of_requests_is_made_once(field):
    made = field.requests(field.server(OURS), "ES256")
    assert field.requests(field.server(OURS), "ES256") == made
    length, _, rest = made.read_bytes().partition(b"\n")
    assert len(rest) == int(length)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("path", ["/token", "/rsa/token"])
def test_authlib_signs_as_asked_and_knows_its_client(field, path, algorithm):
    port = field.server(AUTHLIB).port
    form = {"grant_type": "client_credentials", "scope": "reports:read"}
    name, _, welcome = basic("service", field.ours.secret).strip().partition(": ")
    status, body = asked(port, path, form, {name: welcome})
    assert status == 200, body
    assert signed_with(algorithm)(body) == (("rsa" in path) == (algorithm == "RS256"))
    _, _, wrong = basic("service", "x" * 43).strip().partition(": ")
    assert asked(port, path, form, {name: wrong})[0] in {400, 401}


def test_a_refresh_token_is_good_for_one_successor(field):
    server = field.server(REFRESH)
    handle = first_of_chain(server.port)
    assert len(handle) == HANDLE
    ours = next(it for it in field._tokenwards if it.program is server.program)
    name, _, welcome = basic("service", ours.secret).strip().partition(": ")

    def refresh(token):
        form = {"grant_type": "refresh_token", "refresh_token": token}
        status, body = asked(server.port, "/refresh", form, {name: welcome})
        return status, json.loads(body)

    status, first = refresh(handle)
    assert status == 200
    assert {"access_token", "id_token", "refresh_token", "expires_in"} <= first.keys()
    issuer, audience = f"http://127.0.0.1:{server.port}", "https://reports.example.com"
    claims = Verifier(issuer, audience).verify(first["access_token"], wait=True)
    assert claims["sub"] == "mobile|ann"
    assert refresh(first["refresh_token"])[0] == 200
    assert refresh(handle)[0] == 400
    assert refresh("x" * HANDLE)[0] == 400
    trail = ours.program.folder / "audit.jsonl"
    until_now(lambda: "mobile|ann" in trail.read_text())


def test_a_store_is_measured_in_its_own_process(field):
    said = field.library("SQLite").ask(who="grouped", seconds=0.2)
    assert said["many"] > 32
    assert said["us"] > 0
    with pytest.raises(Void, match="KeyError"):
        field.library("SQLite").ask(who="nobody", seconds=0.1)


def test_a_long_audit_trail_is_emptied_and_still_counted(field):
    trail = field.ours.program.folder / "audit.jsonl"
    first_of_chain(field.server(REFRESH).port)
    with trail.open("ab") as file:
        file.truncate(65 * 2**20)
    before = field.ours.trail
    field.tidy()
    assert trail.stat().st_size == 0
    assert field.ours.trail == before >= 65 * 2**20


# ── libraries that verify ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def verifying(tmp_path_factory):
    """The Python libraries; those who fetch keys get them from next door."""
    folder = tmp_path_factory.mktemp("verifying")
    ours = Ours(folder=folder, cores=Cores.ours())
    ours.prepare()
    made = []

    def start(**tokens):
        file = folder / f"{len(made)}.json"
        file.write_text(json.dumps(tokens))
        about = [ours.neighbour, neighbours.AUDIENCE, file, folder / "keys"]
        library = Answering(
            program=Program(
                name="Python",
                command=[sys.executable, "-m", "bench.verifying", *about],
                folder=folder / f"{len(made)}",
                cores=EVERY_CORE,
                environ={"PYTHONPATH": str(ROOT)},
            )
        )
        library.start()
        made.append(library)
        return library

    yield ours, start
    for library in made:
        library.stop()
    ours.stop_neighbours()


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_everybody_believes_a_good_token(verifying, alg):
    ours, start = verifying
    library = start(**{alg: [ours.caller(f"{it}", alg) for it in range(20)]})
    for who in (*verify.PYTHON, "tokenward, remembered"):
        said = library.ask(who=who, alg=alg, many=40)
        assert said["us"] > 0, who
    assert library.ask(who="sign", alg=alg, many=10)["us"] > 1


@pytest.mark.parametrize(
    "wrong",
    [{"iss": "https://x.example.com/"}, {"aud": "somebody else"}, {"exp": 1}],
    ids=["issuer", "audience", "date"],
)
def test_nobody_who_looks_at_claims_believes_a_wrong_one(verifying, wrong):
    ours, start = verifying
    library = start(RS256=[ours.caller("ann", **wrong)])
    for who in verify.PYTHON:
        if who == verify.BARE:
            assert library.ask(who=who, alg="RS256", many=1)["us"] > 0
        else:
            with pytest.raises(Void):
                library.ask(who=who, alg="RS256", many=1)


def test_nobody_at_all_believes_a_wrong_signature(verifying):
    ours, start = verifying
    forged = neighbours.caller(SigningKey.generate("RS256"), ours.neighbour, "ann")
    library = start(RS256=[forged])
    for who in verify.PYTHON:
        with pytest.raises(Void):
            library.ask(who=who, alg="RS256", many=1)


def test_a_library_that_ends_is_void_and_says_why(tmp_path):
    program = Program(
        name="it",
        command=[sys.executable, "-c", "raise SystemExit('no, because')"],
        folder=tmp_path,
        cores=EVERY_CORE,
    )
    library = Answering(program=program)
    library.start()
    with pytest.raises(Void, match="no, because"):
        library.ask(who="x")
    library.stop()


def test_a_place_for_a_refresh_token_counts_as_long_as_one():
    request = post("/token", {"refresh_token": "@REFRESH_TOKEN@"}, plain="@REFRESH_TOKEN@")
    whole = request.replace(b"@REFRESH_TOKEN@", b"t" * HANDLE)
    head, _, body = whole.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
