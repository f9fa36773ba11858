"""A server that is killed while it shows a refresh token, and two that want to show the same."""

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.lab import NIGHTLY, Process, hashed
from tests.rotating import Platform, rotates
from tests.servers import Issuer, until_now
from tests.world import SECRET
from tokenward.jose.keys import SigningKey
from tokenward.oauth.scope import Scope
from tokenward.server.offline import SHELF, Whose
from tokenward.server.offline.safe import Safe
from tokenward.server.offline.turns import hashed as hashed_settings
from tokenward.server.seal import Seal
from tokenward.server.stores import open_store

HEAD = f"""
issuer = "https://tokens.example.com"
store  = "sqlite://{{folder}}/t.db"
[audit]
to = "{{folder}}/audit.jsonl"
[callers.nightly]
proof   = "client_secret"
secrets = ["{hashed(SECRET)}"]
"""
TOKEN = """
[tokens.{name}]
upstream      = "refresh_token"
issuer        = "{url}"
client_id     = "us"
client_secret = "{secret}"
refresh_token = "{first}"
[[allow]]
caller = "nightly"
token  = "{name}"
"""
THEIR_SECRET = "their-secret-" + "s" * 20


class Slow(Platform):
    """One whose metadata can take for ever."""

    stuck = False

    def take(self, question):
        behaviour = super().take(question)
        if not (self.stuck and question.path.startswith("/.well-known/")):
            return behaviour
        return lambda handler: self.closing.wait(30)


class Town:
    def __init__(self, folder, stack, *names):
        self.folder = Path(folder)
        self.platforms = {name: stack.enter_context(Slow()) for name in names}
        self.firsts = {name: platform.begin() for name, platform in self.platforms.items()}
        config = HEAD.format(folder=folder) + "".join(
            TOKEN.format(name=name, url=it.url, secret=THEIR_SECRET, first=self.firsts[name])
            for name, it in self.platforms.items()
        )
        self.nodes = [Process(self.folder / name, config) for name in ("one", "two")]
        for node in self.nodes:
            stack.callback(node.kill)

    def kept(self, name):
        """The refresh token that is in the store."""

        async def look():
            store = open_store(f"sqlite://{self.folder}/t.db", time.time)
            await store.open()
            try:
                seal = Seal.from_file(self.folder / "t.db.key")
                safe = Safe(shelf=store.shelf, seal=lambda: seal, clock=time.time)
                return (await safe.look(Whose(name))).kept.refresh_token
            finally:
                await store.close()

        return asyncio.run(look())

    def check_nothing_was_written(self):
        written = b"".join(it.read_bytes() for it in self.folder.rglob("*") if it.is_file())
        written = written.replace(self.nodes[0].config.read_bytes(), b"")
        assert SHELF.encode() in written
        secrets = {THEIR_SECRET, "theirs-"}
        for platform in self.platforms.values():
            secrets |= set(platform.shown) | {platform.families[0].live}
        for secret in secrets:
            assert secret.encode() not in written


@pytest.fixture
def town(tmp_path):
    with ExitStack() as stack:
        yield lambda *names: Town(tmp_path, stack, *names)


def asked(node, name):
    return node.post("/token", {"grant_type": "client_credentials", "audience": name}, NIGHTLY)


def test_killed_at_any_moment_of_a_refresh_the_grant_goes_on(town):
    town = town("before", "meanwhile", "unkept", "after")
    before, meanwhile, unkept, after = town.platforms.values()
    one, two = town.nodes
    locks = []

    def locked_out(handler):
        """The answer arrives, and can be kept nowhere."""
        lock = sqlite3.connect(
            town.folder / "t.db", isolation_level=None, timeout=5, check_same_thread=False
        )
        lock.execute("BEGIN IMMEDIATE")
        locks.append(lock)
        rotates()(handler)

    before.stuck = True
    meanwhile.answers.append(rotates(hold=threading.Event()))
    unkept.answers.append(locked_out)
    one.start()
    assert asked(one, "after").token == "theirs-1"
    with ThreadPoolExecutor(3) as crowd:
        lost = [crowd.submit(asked, one, name) for name in ("before", "meanwhile")]
        until_now(lambda: before.lookups and meanwhile.shown)
        lost.append(crowd.submit(asked, one, "unkept"))
        until_now(lambda: unkept.given)
        time.sleep(0.1)  # the answer is there by now
        one.kill()
        for answer in lost:
            assert answer.exception(5) or answer.result().status == 0, "nobody has heard a token"
    [lock] = locks
    lock.close()
    before.stuck = False
    assert (before.shown, town.kept("before")) == ([], town.firsts["before"])
    assert town.kept("meanwhile") == town.firsts["meanwhile"] != meanwhile.families[0].live
    assert town.kept("unkept") == town.firsts["unkept"] != unkept.families[0].live
    assert town.kept("after") == after.families[0].live != town.firsts["after"]

    two.start()
    with ThreadPoolExecutor(4) as crowd:
        answers = crowd.map(lambda name: asked(two, name), town.platforms)
        assert [answer.status for answer in answers] == [200] * 4
    assert len(before.shown) == len(after.shown) == 1
    assert meanwhile.shown == [town.firsts["meanwhile"]] * 2
    assert unkept.shown == [town.firsts["unkept"]] * 2
    for name, platform in town.platforms.items():
        assert town.kept(name) == platform.families[0].live
        assert platform.thefts == 0
    assert two.end(15) == 0
    town.check_nothing_was_written()
    assert "raceback" not in two.stderr


PEOPLE = """
[callers.mobile]
proof    = "jwt"
issuer   = "{friend}"
audience = "us"
[callers.photos]
proof         = "client_secret"
secrets       = ["{hash}"]
grant_types   = ["token_exchange"]
redirect_uris = ["https://photos.example.com/"]
[tokens.drive]
upstream               = "connection"
token_endpoint         = "{url}"
authorization_endpoint = "https://drive.example.com/authorize"
client_id              = "us"
client_secret          = "{secret}"
scopes                 = ["files"]
default                = ["files"]
[[allow]]
caller = "mobile"
client = "photos"
token  = "drive"
scope  = "files"
"""


def test_killed_while_a_persons_account_is_asked_with_it_stays_connected(town, tmp_path):
    town = town("drive")
    [platform] = town.platforms.values()
    one, two = town.nodes
    whose = Whose("drive", "mobile|auth0|ann", ("client", "photos", ""))
    url, first = platform.token_endpoint, town.firsts["drive"]

    async def connect():
        store = open_store(f"sqlite://{tmp_path}/t.db", time.time)
        await store.open()
        seal = Seal.from_file(tmp_path / "t.db.key")
        safe = Safe(shelf=store.shelf, seal=lambda: seal, clock=time.time)
        where = hashed_settings(["", url, "us"])
        await safe.put(whose, where=where, refresh_token=first, scope=Scope.parse("files"))
        await store.close()

    key = SigningKey.generate("ES256")
    with Issuer(key).serving() as friend, ThreadPoolExecutor(1) as crowd:
        people = PEOPLE.format(friend=friend.url, hash=hashed(SECRET), url=url, secret=THEIR_SECRET)
        for node in (one, two):
            node.config.write_text(HEAD.format(folder=tmp_path) + people)
        token = friend.token(typ="JWT", aud="us", sub="auth0|ann")

        def exchanged(node, *who):
            return node.exchange(token, who or ("photos", SECRET), audience="drive")

        one.start()
        assert exchanged(one).error == (400, "interaction_required")
        asyncio.run(connect())
        platform.answers.append(rotates(hold=threading.Event()))
        lost = crowd.submit(exchanged, one)
        until_now(lambda: platform.shown)
        one.kill()
        assert lost.exception(5) or lost.result().status == 0
        two.start()
        assert exchanged(two).token == "theirs-1"
        assert platform.shown == [first, first]
        assert two.exchange(token, None, audience="drive").status == 400, "no other app rides on it"
        assert two.end(15) == 0
    assert platform.thefts == 0
    town.check_nothing_was_written()


def test_a_hundred_at_two_servers_show_it_once(town):
    town = town("crowd")
    [platform] = town.platforms.values()
    platform.always = rotates(wait=0.3)
    with ThreadPoolExecutor(20) as crowd:
        list(crowd.map(Process.start, town.nodes))
        answers = crowd.map(lambda n: asked(town.nodes[n % 2], "crowd").token, range(100))
        assert set(answers) == {"theirs-1"}
    assert platform.shown == [town.firsts["crowd"]]
    assert [node.end(15) for node in town.nodes] == [0, 0]
    assert town.kept("crowd") == platform.families[0].live
    town.check_nothing_was_written()


def test_where_the_platform_has_ended_it_callers_hear_503_and_nobody_asks_again(town):
    town = town("ended")
    [platform] = town.platforms.values()
    platform.end()
    one, two = town.nodes
    for node in (one, two):
        node.start()
        for _ in range(3):
            answer = asked(node, "ended")
            assert answer.error == (503, "temporarily_unavailable")
            assert b"UPSTREAMS-OWN-WORDS" not in answer.raw
            assert int(answer["retry-after"]) == 300
        assert node.end(15) == 0
    assert len(platform.shown) == 1
    assert "the platform has ended a stored grant" in one.stderr
    assert "the platform has ended this grant" in (town.folder / "audit.jsonl").read_text()
