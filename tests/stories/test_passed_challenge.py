"""A Hub's challenge, passed on by a server of several processes: one has it, the others say so."""

import asyncio

from tests.hub import KEY, SECRET
from tests.running import free_port, hashed
from tests.textile import by_websocket, token_of
from tokenward.jose.identity import PrivateKey
from tokenward.jose.jws import decode, encode

JOB = "the-secret-of-the-nightly-job-" + "s" * 20
SETTINGS = """
issuer = "http://127.0.0.1:{port}"
store  = "sqlite:kept.db"
[listen]
address = "127.0.0.1:{port}"
workers = 2
[audit]
to   = "audit.jsonl"
mode = "before"
[callers.nightly]
proof   = "client_secret"
secrets = ["{job}"]
[tokens.threads]
upstream  = "textile_hub"
url       = "{hub}"
key       = "{key}"
secret    = "${{HUB_SECRET}}"
signature = "callers"
[[allow]]
caller = "nightly"
token  = "threads"
"""
RIGHT = {"grant_type": "client_credentials", "audience": "threads"}


def post(server, path, form, *connection):
    """Over a connection of one's own unless one is given."""
    with server.http() as own:
        http = connection[0] if connection else own
        return http.post(path, data={**RIGHT, **form}, auth=("nightly", JOB))


async def test_the_process_that_asked_is_answered_and_the_other_says_that_it_was_another(running):
    key = PrivateKey.generate()
    async with by_websocket() as hub:
        text = SETTINGS.format(port=free_port(), job=hashed(JOB), hub=hub.url, key=KEY)
        files = {"tokenward.toml": text}
        with running("passed", files=files, environ={"HUB_SECRET": SECRET}) as server:
            server.ledger.secret("the secret of a group", SECRET)
            answers = await asyncio.to_thread(many, server, key)
        assert set(answers) == {"given", "another process"}
        assert len(hub.heard) == len(answers)
    given = server.events(event="token", outcome="ok")
    assert len(given) == len(answers)


def many(server, key):
    """Ask until both kinds of answers have been heard; each challenge is answered in the end."""
    heard = []
    while len(set(heard)) < 2 and len(heard) < 40:
        with server.http() as connection:
            asked = post(server, "/challenge", {"public_key": key.public.text}, connection).json()
            answer = {
                "auth_session": asked["auth_session"],
                "signature": encode(key.sign(decode(asked["challenge"]))),
            }
            elsewhere = post(server, "/token", answer)
            if elsewhere.status_code == 200:
                heard.append("given")
                continue
            assert elsewhere.json()["error"] == "invalid_grant"
            assert "another process" in elsewhere.json()["error_description"]
            heard.append("another process")
            here = post(server, "/token", answer, connection)
            assert here.json()["access_token"] == token_of(key.public)
    return heard
