"""``tokenward api-keys``: keys made and ended beside a server that hears of it."""

import json
import re
import time
from hashlib import sha256

import pytest

from tests.docs import examples
from tokenward.server.apikeys import is_whole

PAGE = examples("docs/howto/make-api-keys.md")
FILE = """
store = "sqlite:kept.db"
[issuers.main]
url = "https://tokens.example.com"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read", "reports:write"]
"""


@pytest.fixture
def file(here):
    (here / "tokenward.toml").write_text(FILE + PAGE["caller"].code)
    return here / "tokenward.toml"


@pytest.fixture
def keys(file, run):
    def ended(*arguments):
        return run("api-keys", *arguments)

    return ended


def said(ended):
    assert ended.code == 0, ended.out + ended.err
    return json.loads(ended.out)


def new(keys, *more, name="nightly"):
    return said(keys("new", name, "--owner", "ann@example.com", "--json", *more))


def test_a_key_is_made_listed_ended_and_revoked(keys):
    more = ("--group", "exporters", "--claim", "team=ops", "--claim", "team=dev", "--expires", "1d")
    made = new(keys, *more)
    key = made.pop("key")
    assert is_whole(key)
    assert made.pop("ok") is True
    assert made["claims"] == {"groups": ["exporters"], "team": ["ops", "dev"]}
    assert (made["caller"], made["name"], made["state"]) == ("scripts", "nightly", "good")
    assert made["expires"] - made["made"] in range(86_000, 86_402)
    listed = said(keys("list", "--json"))
    assert listed == {"ok": True, "keys": [made]}
    ended = said(keys("expire", made["id"], "--in", "1h", "--json"))
    assert ended["expires"] - time.time() < 3_601
    revoked = said(keys("revoke", made["id"], "--json"))
    assert (revoked["state"], revoked["id"]) == ("revoked", made["id"])


def test_people_are_told_in_words_and_a_key_is_shown_once(keys, here):
    assert "there is no key" in keys("list").err
    made = keys("new", "nightly", "--owner", "ann@example.com")
    key = re.search(r"^key  (\S+)$", made.out, re.MULTILINE)[1]
    assert is_whole(key)
    assert "shown this one time" in made.err
    listed = keys("list")
    assert "scripts|nightly" in listed.out
    assert "never used" in listed.out
    assert key not in listed.out
    digest = sha256(key.encode()).hexdigest()
    for kept in here.iterdir():
        assert key.encode() not in kept.read_bytes()
        assert digest.encode() not in kept.read_bytes()
    (id,) = re.findall(r"^([0-9a-f]{8})  good", listed.out, re.MULTILINE)
    assert "is revoked" in keys("revoke", id).out
    assert f"{id}  revoked" in keys("list").out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["new", "x", "--owner", "o", "--caller", "nobody"], 1, "no caller 'nobody' has proof"),
        (["new", "x", "--owner", "o", "--expires", "1000d"], 1, "is good for 90 days at most"),
        (["new", "x", "--owner", "o", "--expires", "soon"], 2, "--expires: must be a period"),
        (["new", "x", "--owner", " "], 2, "--owner is one line"),
        (["new", "a\nb", "--owner", "o"], 2, "NAME is one line"),
        (["new", "x" * 201, "--owner", "o"], 2, "NAME is one line"),
        (["new", "x"], 2, "owner"),
        (["new", "x", "--owner", "o", "--claim", "x"], 2, "is not NAME=VALUE"),
        (["new", "x", "--owner", "o", "--claim", "sub=root"], 2, "sub means something else"),
        (["new", "x", "--owner", "o", "--claim", "groups=a"], 2, "groups means something else"),
        (["new", "x", "--owner", "o", "--group", ""], 2, "--group is one line"),
        (["expire", "unknown", "--in", "1d"], 1, "there is no key unknown"),
        (["expire", "unknown"], 2, "--in"),
        (["revoke", "unknown"], 1, "there is no key unknown"),
        (["revoke", "nightly"], 1, "there is no key nightly"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(keys, arguments, code, reason):
    refused = keys(*arguments)
    assert (refused.code, refused.out) == (code, "")
    assert reason in refused.err
    assert said(keys("list", "--json"))["keys"] == []


def test_another_owner_does_not_get_a_key_of_that_name(keys):
    new(keys)
    refused = keys("new", "nightly", "--owner", "bob@example.com")
    assert refused.code == 1
    assert "ann@example.com is responsible for" in refused.err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("sqlite:kept.db", "memory:", "the store is memory:"),
        ('"api_key"', '"none"', 'no caller has proof = "api_key"'),
    ],
)
def test_where_keys_can_be_of_no_use_none_is_made(keys, file, old, new, reason):
    text = re.sub(r"(claims|lifetime) *= [^\n]*\n", "", file.read_text())
    file.write_text(text.replace(old, new))
    refused = keys("new", "x", "--owner", "o")
    assert refused.code == 1
    assert reason in refused.err


def test_with_several_callers_one_must_be_meant(keys, file):
    file.write_text(file.read_text() + '[callers.more]\nproof = "api_key"\n')
    refused = keys("new", "x", "--owner", "o")
    assert (refused.code, "for which caller?" in refused.err) == (2, True)
    assert new(keys, "--caller", "more")["caller"] == "more"


@pytest.mark.parametrize("name", ["new", "end"])
def test_what_the_page_shows_can_be_done(name, keys):
    id = new(keys)["id"]
    for line in PAGE[name].code.strip().splitlines():
        words = [one.strip('"') for one in re.findall(r'"[^"]*"|\S+', line)]
        assert words[:2] == ["tokenward", "api-keys"]
        done = keys(*[id if it == "3f9a1c07" else it for it in words[2:]])
        assert done.code == 0, done.err
