"""Two servers on one store: a link made here is clicked there, and what counts once counts once."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.agreeing import Drive
from tests.attacks.lab import FORM, Process
from tests.server.connections.somebody import FILE, PHOTOS
from tests.servers import Issuer
from tests.world import AUDIENCE, JWT
from tokenward.jose.keys import SigningKey

AT_ONCE = 100
COOKIE = re.compile(r"__Host-tokenward-connect=[A-Za-z0-9_-]{43}")


class Pair:
    """Both of them, and what a person's browser and app ask of whichever comes next."""

    def __init__(self, nodes, friend, drive):
        self.nodes, self.friend, self.drive = nodes, friend, drive
        self.turn = 0

    def node(self):
        self.turn += 1
        return self.nodes[self.turn % 2]

    def ask(self, what, **form):
        now = int(time.time())
        said = {"aud": AUDIENCE, "sub": "auth0|ann", "iat": now, "exp": now + 3600}
        token = self.friend.token(typ="JWT", **said)
        form = {"subject_token": token, "subject_token_type": JWT, **form}
        return self.node().post(f"/connections/{what}", form, PHOTOS)

    def files(self):
        now = int(time.time())
        said = {"aud": AUDIENCE, "sub": "auth0|ann", "iat": now, "exp": now + 3600}
        token = self.friend.token(typ="JWT", **said)
        return self.node().exchange(token, PHOTOS, audience="drive")

    def many(self, ask):
        """A hundred at once, on both."""
        with ThreadPoolExecutor(16) as at_once:
            return list(at_once.map(lambda number: ask(self.nodes[number % 2]), range(AT_ONCE)))


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request, tmp_path):
    key = f'encryption_key_file = "{tmp_path}/encryption.key'
    store = f"sqlite://{tmp_path}/t.db"
    if request.param == "postgresql":
        store = request.getfixturevalue("postgresql").fresh()
    with ExitStack() as stack:
        friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
        drive = stack.enter_context(Drive())
        text = FILE.format(
            store=f'{store}"\n{key}',
            audit=Path(tmp_path) / "audit.jsonl",
            friend=friend.url,
            audience=AUDIENCE,
            upstream=drive.url,
        )
        text += "[log]\nrequests = true\n"
        nodes = [Process(tmp_path / name, text) for name in ("one", "other")]
        for node in nodes:
            stack.callback(node.kill)
        with ThreadPoolExecutor(2) as at_once:
            list(at_once.map(Process.start, nodes))
        yield Pair(nodes, friend, drive)


def path_of(url):
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def test_what_one_began_the_other_ends_and_each_step_counts_once(pair):
    link = path_of(pair.ask("start", audience="drive").json["connect_uri"])
    page = pair.node().ask("GET", link)
    assert page.status == 200
    cookie = ("Cookie", COOKIE.search(page["set-cookie"])[0])
    mark = re.search(rb'name="mark" value="([^"]+)"', page.body)[1].decode()
    body = urlencode({"mark": mark, "answer": "connect"})

    clicks = pair.many(
        lambda node: node.ask("POST", link, cookie, ("Content-Type", FORM), body=body)
    )
    assert sorted({it.status for it in clicks}) == [200, 404]
    [good] = [it for it in clicks if it.status == 200]
    asked = unescape(re.search(rb'content="0;url=([^"]+)"', good.body)[1].decode())

    back = path_of(pair.drive.answered(asked))
    returns = pair.many(lambda node: node.ask("GET", back, cookie))
    assert sorted({it.status for it in returns}) == [302, 400]
    [there] = [it for it in returns if it.status == 302]
    assert len(pair.drive.asked) == 1, "one code, shown once"
    code = dict(parse_qsl(urlsplit(there["location"]).query))["connection_code"]

    done = pair.many(lambda _: pair.ask("complete", connection_code=code))
    assert sorted(it.status for it in done) == [200] + [400] * (AT_ONCE - 1)

    first, second = pair.files(), pair.files()
    assert first.token == second.token
    assert pair.ask("disconnect", audience="drive").json["status"] == "disconnected"
    for _ in range(2):
        assert pair.files().error == (400, "interaction_required")

    for node in pair.nodes:
        assert node.end(15) == 0
    events = [
        json.loads(line)
        for line in (pair.nodes[0].folder.parent / "audit.jsonl").read_text().splitlines()
    ]
    opened = [it["outcome"] for it in events if it["event"] == "connection_open"]
    assert opened.count("ok") == 1
    assert len(opened) == AT_ONCE
    verifier = pair.drive.asked[0]["code_verifier"]
    state = dict(parse_qsl(urlsplit(asked).query))["state"]
    secrets = [link.rpartition("/")[2], state, code, verifier, cookie[1].partition("=")[2]]
    secrets += [first.token, *pair.drive.revoked]
    written = [it for it in pair.nodes[0].folder.parent.rglob("*") if it.is_file()]
    logged = [it for it in written if it.name == "stderr" and b"/connections/*" in it.read_bytes()]
    assert len(logged) == 2, "each has written a line for each request"
    for path in written:
        data = path.read_bytes()
        assert [it for it in secrets if it.encode() in data] == [], path
