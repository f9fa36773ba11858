"""``tokenward hub keys``: keys made and ended beside a hub that hears of it."""

import asyncio
import json
import re
import time

import pytest

from tests.docs import examples
from tests.hub import (
    KEY,
    PATH,
    SAMPLE_SECRET,
    SECRET,
    SETTINGS,
    asking,
    identity,
    metadata,
    settings,
)
from tests.world import claims_of
from tokenward.jose import multibase
from tokenward.server import directory, hubkeys
from tokenward.server.app import application
from tokenward.server.serve import serving
from tokenward.server.settings import load

PAGE = examples("docs/howto/be-a-textile-hub.md")
EXISTS = "bfausukzmfuxc6mbrgiztinjwg4"


@pytest.fixture
def file(here):
    text = settings(store="sqlite:kept.db", audit=here / "audit.jsonl")
    made = text.replace(
        "\n[tokens.threads]", '\n[callers.notes]\nproof = "hub_key"\n\n[tokens.threads]'
    )
    made += '\n[[allow]]\ncaller = "notes"\nclaims = { app_type = "user" }\ntoken  = "threads"\n'
    (here / "tokenward.toml").write_text(made)
    return here / "tokenward.toml"


@pytest.fixture
def keys(file, run):
    def ended(*arguments, **how):
        return run("hub", "keys", *arguments, **how)

    return ended


def said(ended):
    assert ended.code == 0, ended.out + ended.err
    return json.loads(ended.out)


def new(keys, *more, **how):
    return said(keys("new", "--caller", "notes", "--json", *more, **how))


def test_a_key_is_made_listed_and_disabled(keys):
    made = new(keys)
    secret = made.pop("secret")
    assert hubkeys.key_fault(made["key"]) == hubkeys.secret_fault(secret) == ""
    assert made.pop("ok") is True
    assert (made["caller"], made["type"], made["secured"]) == ("notes", "user", True)
    assert (made["state"], made["disabled"]) == ("good", None)
    assert said(keys("list", "--json")) == {"ok": True, "keys": [made]}
    ended = said(keys("disable", made["key"], "--json"))
    assert (ended["state"], ended["key"]) == ("disabled", made["key"])
    assert ended["disabled"] >= made["made"]


def test_people_are_told_in_words_and_a_secret_is_shown_once(keys, here):
    assert "there is no key" in keys("list").err
    made = keys("new", "--caller", "notes")
    key = re.search(r"^key     (\S+)$", made.out, re.MULTILINE)[1]
    secret = re.search(r"^secret  (\S+)$", made.out, re.MULTILINE)[1]
    assert "shown this one time" in made.err
    listed = keys("list")
    assert key in listed.out
    assert secret not in listed.out + listed.err
    for kept in here.iterdir():
        data = kept.read_bytes()
        assert secret.encode() not in data
        assert multibase.decode(secret) not in data
        assert multibase.decode(secret).hex().encode() not in data
    assert "is disabled" in keys("disable", key).out
    assert f"{key}  disabled" in keys("list").out


def test_a_key_that_needs_no_secret_has_none_and_that_is_said(keys):
    made = keys("new", "--caller", "notes", "--insecure", "--type", "account")
    assert "secret  " not in made.out
    assert "everybody who knows it" in made.err
    (kept,) = said(keys("list", "--json"))["keys"]
    assert (kept["secured"], kept["type"]) == (False, "account")
    assert "account, without a secret" in keys("list").out


def test_a_key_that_exists_is_taken_over_with_its_secret(keys):
    made = new(keys, "--key", EXISTS, "--stdin", stdin=f"{SECRET}\n")
    assert "secret" not in made
    assert (made["key"], made["secured"]) == (EXISTS, True)
    assert new(keys, "--key", EXISTS[:-1] + "a", "--insecure")["secured"] is False


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "reason"),
    [
        (["--caller", "nobody"], "", 1, "no caller 'nobody' has proof"),
        (["--caller", "nightly"], "", 1, "no caller 'nightly' has proof"),
        ([], "", 2, "for which caller?"),
        (["--type", "admin"], "", 2, "--type is user or account"),
        (["--stdin"], SECRET, 2, "of which --key?"),
        (["--key", EXISTS], "", 2, "--stdin or with --insecure"),
        (["--key", EXISTS, "--stdin", "--insecure"], SECRET, 2, "--stdin or with --insecure"),
        (["--key", SAMPLE_SECRET, "--insecure"], "", 2, "--key must be base32"),
        (["--key", EXISTS.upper(), "--insecure"], "", 2, "--key must be base32"),
        (["--key", EXISTS[:-1] + "7", "--insecure"], "", 2, "--key is cut off"),
        (["--key", EXISTS, "--stdin"], SAMPLE_SECRET, 1, "the secret must be base32"),
        (["--key", EXISTS, "--stdin"], "", 1, "the secret is missing"),
        (["--key", EXISTS, "--stdin"], "baaaa", 1, "the secret must have 16 bytes"),
        (["--key", KEY, "--stdin"], SECRET, 1, "the key of callers.app already"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(keys, arguments, stdin, code, reason):
    caller = [] if "--caller" in arguments or not arguments else ["--caller", "notes"]
    refused = keys("new", *caller, *arguments, stdin=stdin)
    assert (refused.code, refused.out) == (code, "")
    assert reason in refused.err
    assert SECRET not in refused.err
    assert SAMPLE_SECRET not in refused.err
    assert said(keys("list", "--json"))["keys"] == []


def test_a_key_is_made_once(keys):
    new(keys, "--key", EXISTS, "--stdin", stdin=SECRET)
    again = keys("new", "--caller", "app", "--key", EXISTS, "--insecure")
    assert (again.code, "there is a key" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("key", "reason"), [("bunknown", "there is no key bunknown"), (KEY, "key of the configuration")]
)
def test_what_cannot_be_disabled_is_refused_with_the_reason(keys, key, reason):
    refused = keys("disable", key)
    assert (refused.code, refused.out) == (1, "")
    assert reason in refused.err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("sqlite:kept.db", "memory:", "the store is memory:"),
        ("", "", 'no caller has proof = "hub_key"'),
    ],
)
def test_where_keys_can_be_of_no_use_none_is_made(keys, file, old, new, reason):
    text = file.read_text().replace(old, new) if old else SETTINGS.split("[issuers.hub]")[0]
    if not old:
        text = text.format(store="sqlite:kept.db", audit="stdout")
    file.write_text(text)
    refused = keys("new", "--caller", "notes") if old else keys("new")
    assert refused.code == 1
    assert reason in refused.err


def test_what_the_page_shows_can_be_done(keys):
    for line in PAGE["keys"].code.strip().splitlines():
        words = line.split()
        assert words[:3] == ["tokenward", "hub", "keys"]
        done = keys(*words[3:])
        assert done.code == 0, done.err


def test_the_configurations_mistakes_with_a_key_are_told_at_the_start(file, run):
    file.write_text(file.read_text().replace(SECRET, SAMPLE_SECRET))
    refused = run("check")
    assert refused.code == 78
    assert "callers.app" in refused.err
    assert "must be base32 with a b before it" in refused.err
    assert SAMPLE_SECRET not in refused.err


def test_a_running_hub_hears_of_keys_and_of_their_end(keys, file, monkeypatch):
    monkeypatch.setattr(directory, "POLL", 0.05)
    somebody = identity()

    def asked(key, secret, **more):
        async def ask():
            async with asking(url, PATH) as client:
                return await client.get_token(somebody, metadata(key=key, secret=secret, **more))

        return asyncio.run(ask())

    def once(status, key, secret):
        """What is heard once the server knows."""
        for _ in range(200):
            heard = asked(key, secret)
            if heard.status == status:
                return heard
            time.sleep(0.05)
        raise AssertionError(heard)

    with serving(application(load(file, {}))) as url:
        made, account = new(keys), new(keys, "--type", "account")
        heard = once(0, made["key"], made["secret"])
        assert claims_of(heard.token)["sub"] == somebody.public.text
        assert asked(made["key"], SECRET).message == "Bad API key signature"
        unsigned = asked(made["key"], SECRET, x_textile_api_sig=None)
        assert unsigned.message == "API key signature required"
        once(7, account["key"], account["secret"])  # known, and no rule for these
        said(keys("disable", made["key"], "--json"))
        ended = once(5, made["key"], made["secret"])
        assert ended.message == "API key not found or is invalid"
        assert asked(KEY, SECRET).token
    events = [json.loads(line) for line in (file.parent / "audit.jsonl").read_text().splitlines()]
    good = [event["subject_credential"] for event in events if event["outcome"] == "ok"]
    assert set(good) == {KEY, made["key"]}
    assert made["secret"] not in (file.parent / "audit.jsonl").read_text()
