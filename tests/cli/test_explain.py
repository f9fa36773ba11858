"""``tokenward explain``: what every rule says, and which one decides."""

import pytest

from tests.cli.test_check import GOOD, VARIABLES
from tests.dev import command
from tokenward.jose.keys import SigningKey

MORE = """
[callers.batch]
proof       = "client_secret"
secrets     = ["${NIGHTLY}"]
grant_types = ["client_credentials", "token_exchange"]
scope       = "reports:read"
[issuers.other]
url = "https://tokens.example.com/other"
[tokens.letters]
from     = "other"
audience = "https://letters.example.com"
scopes   = ["letters:read"]
[[allow]]
name        = "acting for people"
caller      = "mobile"
client      = "batch"
actor       = "mobile"
grant_types = ["token_exchange"]
token       = "reports"
scope       = "reports:read"
[[allow]]
name   = "letters"
caller = "nightly"
token  = "letters"
scope  = "letters:read"
"""
MAIN = '[issuers.main]\nurl = "https://tokens.example.com"\n'


@pytest.fixture(autouse=True)
def configured(here):
    file = GOOD.replace('issuer = "https://tokens.example.com"\n', "")
    (here / "tokenward.toml").write_text(file + MAIN + MORE)
    (here / ".env.local").write_text(VARIABLES)
    return here


def test_every_rule_says_something_and_one_decides(configured):
    said = command("explain", "nightly", "--token", "reports", cwd=configured)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert len(lines) == 5
    assert lines[0] == "=> nightly reports    decides"
    assert lines[1] == "   models             is for caller 'mobile'"
    assert lines[-1] == "allowed: the token reports, scope: reports:read"


def test_for_programs_it_is_json(run):
    said = run("explain", "nightly", "-t", "reports", "-s", "reports:read", "--json")
    assert said.json == {
        "allowed": True,
        "rule": "nightly reports",
        "token": "reports",
        "scope": "reports:read",
        "rules": [
            {"rule": "nightly reports", "holds": True, "says": "holds"},
            {"rule": "models", "holds": False, "says": "is for caller 'mobile'"},
            {"rule": "acting for people", "holds": False, "says": "is for caller 'mobile'"},
            {"rule": "letters", "holds": False, "says": "is for token 'letters'"},
        ],
    }


def test_a_refusal_ends_with_1_and_says_which_rule_came_nearest(run):
    said = run("explain", "mobile", "--token", "itwin")
    assert (said.code, said.err) == (1, "")
    assert (
        "refused: invalid_target: nearest rule 'models' wants other claims: permissions" in said.out
    )
    told = run("explain", "mobile", "--token", "itwin", "--json")
    assert (told.code, told.json["allowed"]) == (1, False)
    assert told.json["refusal"].startswith("invalid_target: nearest rule 'models'")


def test_claims_are_given_as_json(run):
    claims = '{"permissions": ["models:read", "models:write"]}'
    assert run("explain", "mobile", "--claims", claims).code == 0
    assert run("explain", "mobile", "--claims", "-", stdin=claims).code == 0


@pytest.mark.parametrize("before", ["", "Bearer ", "Authorization: Bearer "])
def test_a_token_of_somebody_who_was_refused_will_do_for_claims(run, before):
    key = SigningKey.generate("ES256")
    token = key.sign({"iss": "x", "permissions": ["models:read"]}, typ="JWT")
    assert run("explain", "mobile", "--claims", "-", stdin=f"{before}{token}\n").code == 0
    other = key.sign({"iss": "x", "permissions": ["models:write"]}, typ="JWT")
    assert run("explain", "mobile", "--claims", "-", stdin=f"{before}{other}\n").code == 1


def test_an_actor_a_client_and_a_grant_type_count(run):
    whole = ("explain", "mobile", "--client", "batch", "--actor", "mobile", "-t", "reports")
    assert run(*whole).code == 0
    assert run(*whole, "--grant-type", "token_exchange").code == 0
    assert run(*whole, "--grant-type", "urn:ietf:params:oauth:grant-type:jwt-bearer").code == 1
    assert run("explain", "mobile", "--client", "nightly", "-t", "reports").code == 1
    assert "is for actor" in run("explain", "mobile", "--client", "batch", "-t", "reports").out


def test_the_issuer_whose_endpoint_is_asked_narrows_the_choice(run):
    assert "it could be any of ['letters', 'reports']" in run("explain", "nightly").out
    assert run("explain", "nightly", "--issuer", "other", "--json").json["token"] == "letters"
    assert run("explain", "nightly", "--issuer", "main", "--json").json["token"] == "reports"


def test_a_client_may_be_called_by_its_id(run):
    assert run("explain", "nightly-1", "-t", "reports").code == 0


def test_a_clients_own_scope_counts(run, configured):
    with (configured / "tokenward.toml").open("a") as file:
        file.write('[[allow]]\ncaller = "batch"\ntoken = "letters"\nscope = "*"\n')
    said = run("explain", "batch", "-t", "letters", "-s", "letters:read")
    assert said.code == 1
    assert "is not registered for letters:read" in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mobil"], "there is no caller 'mobil'"),
        (["mobile", "--client", "who"], "there is no client 'who'"),
        (["mobile", "--actor", "who"], "there is no caller 'who'"),
        (["mobile", "--issuer", "who"], "there is no issuer 'who'"),
        (["mobile", "--grant-type", "who"], "there is no grant type 'who'"),
        (["mobile", "--claims", "{"], "--claims is not JSON"),
        (["nightly", "--claims", '{"a": "b"}'], "nightly is a client"),
        (["mobile", "--claims", "[]"], "--claims is not a JSON object"),
        (["mobile", "--claims", "-"], "--claims is not JSON"),
        (["mobile", "--claims", "[" * 100_000], "--claims is not JSON"),
        (["mobile", "--scope", 'a"b'], "--scope: "),
    ],
)
def test_what_is_not_understood_is_said_with_what_there_is(run, arguments, said):
    ended = run("explain", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    told = run("explain", *arguments, "--json")
    assert (told.code, told.err, told.json["ok"]) == (2, "", False)
    assert said in told.json["error"]


def test_a_token_that_there_is_not_is_refused(run):
    said = run("explain", "nightly", "--token", "rports")
    assert (said.code, "nothing here is called ['rports']" in said.out) == (1, True)


def test_a_configuration_that_makes_no_sense_is_told_first(run, configured):
    (configured / "tokenward.toml").write_text("nonsense")
    said = run("explain", "nightly")
    assert (said.code, said.out) == (78, "")
    assert run("explain", "nightly", "--json").json["ok"] is False
