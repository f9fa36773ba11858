"""The proofs that are measured: each is good, and is the only reason why there is a token."""

import asyncio
import dataclasses
import json
import os
import re
import sys
import threading
from functools import partial

import pytest

from bench import proving
from bench.answering import Answering
from bench.asking import Pool, Wrong, gathered
from bench.callers import certificate
from bench.contestants import OURS, PROVING, PROXIED
from bench.contestants.proving import proving as contestant
from bench.goals import GOALS
from bench.ours import Ours
from bench.processes import Cores, Program
from bench.proving import CERTIFICATE, HUB, OPAQUE, Proofs
from bench.requests import bearer, get
from bench.results import Results
from bench.rows import ASIDE, PER_CPU, Row, proofs
from bench.rows.every import EVERY
from bench.talking import talk
from bench.wrk import Void
from tests.docs import ROOT
from tests.servers import until_now
from tokenward.clock import now
from tokenward.jose.identity import PrivateKey, PublicKey
from tokenward.jose.keys import SigningKey, VerifyingKey
from tokenward.server.app import Server
from tokenward.server.serve import serving
from tokenward.server.settings import load

EVERY_CORE = frozenset(os.sched_getaffinity(0))
MEASURED = {who for row in proofs.ROWS for who in row.measures}


@pytest.fixture(scope="module", params=[PROVING, PROXIED])
def server(request, tmp_path_factory):
    """One that knows everybody, what they show, and the server itself, which runs in a thread."""
    folder = tmp_path_factory.mktemp("proving")
    knows = Proofs(ours=Ours(folder=folder, cores=Cores.ours()), proxied=request.param == PROXIED)
    made = contestant(request.param, knows)
    made.before()
    program = made.program
    settings = load(program.folder / "tokenward.toml", {**os.environ, **program.environ})
    itself = Server(settings=settings, clock=now)
    with serving(itself.front(), port=made.port):
        yield made, knows, itself
    made.after()


def test_everything_that_is_measured_gets_a_token(server):
    made, _, _ = server

    async def converse():
        pool = Pool(port=made.port, size=2)
        for name, conversation in made.conversations.items():
            await conversation(pool)
            await conversation(pool)  # what is good for once is made anew
            assert name in MEASURED
        pool.close()

    asyncio.run(converse())
    for name, requests in made.asked.items():
        (answer,) = gathered(made.port, requests()[0], 1)
        assert (b"eyJ" in answer) is (b'"nonce"' not in answer), name
        assert name in MEASURED


def test_without_the_proof_there_is_none(server):
    made, knows, _ = server
    strange = Proofs(ours=knows.ours, proxied=knows.proxied)
    if knows.proxied:
        strange.certificate, _ = certificate()
        refused = [get("/getToken"), *strange.asking(CERTIFICATE)]
    else:
        refused = [get("/getToken"), get("/getToken", bearer("ptx_" + "t" * 40))]
    for request in refused:
        with pytest.raises(Wrong, match=r"40[01] instead of 200"):
            gathered(made.port, request, 1)
    if knows.proxied:
        return
    strange.people = {kind: PrivateKey.generate("p256") for kind in proving.KINDS}
    strange.clients = dict(zip(proving.SIGNERS, reversed(knows.clients.values()), strict=True))
    keys = {"RS256": SigningKey.generate("RS256")}
    strange.ours = dataclasses.replace(knows.ours, keys=keys)
    strangers = contestant(PROVING, strange).conversations

    async def converse(name):
        pool = Pool(port=made.port, size=1)
        try:
            with pytest.raises(Wrong, match=r"40[01] instead of 200|refused|fell silent"):
                await strangers[name](pool)
        finally:
            pool.close()

    for name in made.conversations.keys() - {HUB}:
        asyncio.run(converse(name))
    with pytest.raises(Wrong, match="refused"):
        asyncio.run(talk(made.port, "/hub/threads.pb.API/GetToken", {}, strange.people["rsa"]))


def test_an_opaque_token_is_asked_about_once(server):
    made, _, _ = server
    if OPAQUE not in made.asked:
        return
    request = made.asked[OPAQUE]()[0]
    assert len(set(gathered(made.port, request, 20))) == 1
    trail = made.program.folder / "audit.jsonl"

    def theirs():
        said = [json.loads(it) for it in trail.read_text().splitlines()]
        return [it["subject"] for it in said if it.get("caller") == "partner"]

    until_now(lambda: len(theirs()) >= 20)  # the trail is written in batches
    assert set(theirs()) == {"partner|partner"}


# ── what they cost ───────────────────────────────────────────────────────────────────────────────

NOTHING, SIGNATURE, ONCE, SIGNED_ONCE = (0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 0, 0), (0, 1, 0, 1)
READ = (0, 0, 0, 1)
LEDGER = {
    **dict.fromkeys(["jwt", "introspection", "api_key", "certificate"], NOTHING),
    **dict.fromkeys(["client_secret_basic", "client_secret_post", "tls_client_auth"], NOTHING),
    "jwt never seen": READ,
    "POST /challenge alone": NOTHING,
    **{f"key, {kind}": SIGNED_ONCE for kind in proving.KINDS},
    "hub_key": SIGNATURE,
    **{f"private_key_jwt, {alg}": SIGNED_ONCE for alg in proving.SIGNERS},
    "client_secret_jwt": ONCE,
}
"""Reads and writes of the store, signatures made and verified, once everything is warm."""


@pytest.fixture
def signatures(monkeypatch):
    """Those that the server makes and verifies; whoever asks it does that in another thread."""
    made, verified = [], []

    def counted(owner, name, seen):
        real = getattr(owner, name)

        def method(self, *args, **kwargs):
            if threading.current_thread().name == "tokenward":
                seen.append(name)
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, method)

    counted(SigningKey, "sign", made)
    for owner, name in ((PublicKey, "fits"), (PublicKey, "verify"), (VerifyingKey, "verify")):
        counted(owner, name, verified)
    return made, verified


def test_the_ledger_of_the_proofs(server, signatures):
    """What an answer costs; of several, for now and then somebody else looks into the store."""
    contestant, _, itself = server
    signed, verified = signatures

    def cost(ask):
        before, made, seen = itself.store.counts, len(signed), len(verified)
        ask()
        after = itself.store.counts
        read, written = after.reads - before.reads, after.writes - before.writes
        return read, written, len(signed) - made, len(verified) - seen

    def asked(contestant, request):
        gathered(contestant.port, request, 1)

    def conversed(conversation):
        async def converse():
            pool = Pool(port=contestant.port, size=1)
            await conversation(pool)
            pool.close()

        asyncio.run(converse())

    asking = {
        **{it: partial(conversed, one) for it, one in contestant.conversations.items()},
        **{
            it: partial(gathered, contestant.port, one()[0], 1)
            for it, one in contestant.asked.items()
        },
    }
    found = {name: min(cost(ask) for _ in range(4)) for name, ask in asking.items()}
    assert found == {name: LEDGER[name] for name in asking}


def test_the_document_says_what_they_cost():
    page = (ROOT / "docs/explanation/two-lanes.md").read_text()
    rows = re.findall(r"^\| `([^|]+)` \| (\d) \| (\d) \| (\d) \| (\d) \|$", page, re.MULTILINE)
    said = {name: tuple(map(int, cost)) for names, *cost in rows for name in names.split("`, `")}
    assert said == {name.partition(", ")[0]: cost for name, cost in LEDGER.items()}
    assert LEDGER.keys() == MEASURED


# ── signatures aside ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def machine(tmp_path):
    """What signatures cost."""
    made = Answering(
        program=Program(
            name="signatures",
            command=[sys.executable, "-m", "bench.checking"],
            folder=tmp_path,
            cores=EVERY_CORE,
            environ={"PYTHONPATH": str(ROOT)},
        )
    )
    made.start()
    yield made
    made.stop()


def test_a_signature_is_measured_bare(machine):
    for how in ("verify ed25519", "sign ed25519", "verify p256", "verify secp256k1"):
        assert machine.ask(how=how, many=5)["us"] > 1, how
    for how in ("verify dsa", "forge p256", ""):
        with pytest.raises(Void):
            machine.ask(how=how, many=1)


def test_a_ratio_is_of_what_is_left_without_signatures():
    results = Results()
    results.add(*proofs.BASE, 1, {"value": 10_000.0, ASIDE: 10_000.0})
    results.add(proofs.CALLERS, "key, rsa", 1, {"value": 2_000.0, ASIDE: 6_000.0})
    results.add(*proofs.NEVER_SEEN, 1, {"value": 3_000.0, ASIDE: 4_000.0})
    goals = [it for it in GOALS if it.words.startswith("key, rsa")]
    assert [it.figure(results) for it in goals] == [0.6, 1.5]
    for goal in goals:
        assert goal.held(0.5)
        assert not goal.held(0.49)


def test_every_proof_has_a_goal_but_those_they_are_held_against():
    said = {it.words.partition(" beside")[0] for it in GOALS if it.number == 13}
    assert said == MEASURED - {proofs.BASE[1], proofs.NEVER_SEEN[1]}
    rows = {row.name: row for row in EVERY}
    assert all(rows[row.name].beside == proofs.BASE for row in proofs.ROWS)
    assert proofs.BASE[1] in rows[proofs.BASE[0]].measures
    assert Row(name="x", unit=PER_CPU, measures={OURS: None}).beside is None


def test_what_is_good_for_once_is_held_against_a_caller_never_seen_besides():
    words = "beside getToken for callers never seen"
    said = {it.words.partition(" beside")[0] for it in GOALS if it.words.endswith(words)}
    once = {name for name, (_, written, *_) in LEDGER.items() if written}
    assert said == once | {"hub_key"}
