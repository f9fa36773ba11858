"""``tokenward check``: all mistakes at once, each with its place; nothing is touched."""

import pytest

from tests.dev import command

GOOD = """
issuer = "https://tokens.example.com"
store  = "sqlite:tokenward.db"

[callers.mobile]
proof    = "jwt"
issuer   = "https://dev-x.us.auth0.com/"
audience = "http://tokenserver.sample.bentley.com"
[callers.nightly]
proof     = "client_secret"
client_id = "nightly-1"
secrets   = ["${NIGHTLY}"]
[callers.reports-api]
proof       = "client_secret"
secrets     = ["${NIGHTLY}"]
grant_types = []

[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = { "reports:read" = "Read reports" }
[tokens.itwin]
upstream      = "client_credentials"
issuer        = "https://ims.bentley.com"
client_id     = "service-x"
client_secret = "${ITWIN}"
scopes        = ["itwin-platform"]

[[allow]]
name   = "nightly reports"
caller = "nightly"
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "models"
caller = "mobile"
claims = { permissions = "models:read" }
token  = "itwin"
scope  = "itwin-platform"
"""
VARIABLES = f"NIGHTLY=sha256:{'0' * 64}\nITWIN=a-secret-from-bentley\n"
MISTAKEN = GOOD.replace('proof    = "jwt"', 'proof    = "jtw"').replace("caller = ", "callr = ")


@pytest.fixture
def good(here):
    (here / "tokenward.toml").write_text(GOOD)
    (here / ".env.local").write_text(VARIABLES)
    return here


def test_what_would_do_is_shown_in_a_few_lines(good):
    said = command("check", cwd=good)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "ok"
    for line in (
        "  main  https://tokens.example.com  rfc9068, ES256",
        "  mobile       whomever https://dev-x.us.auth0.com/ vouches for",
        "  nightly      a client",
        "  reports-api  a resource server",
        "  reports  minted by main for https://api.example.com/reports",
        "  itwin    fetched from https://ims.bentley.com",
        "  nightly reports  nightly -> reports (reports:read)",
        "  models           mobile -> itwin (itwin-platform)",
    ):
        assert line in said.out.splitlines()


def test_nothing_is_touched(good):
    command("check", cwd=good)
    assert {path.name for path in good.iterdir()} == {"tokenward.toml", ".env.local"}


def test_for_programs_it_is_json(run, good):
    said = run("check", "--json").json
    assert said == {
        "ok": True,
        "warnings": [],
        "issuers": {
            "main": {
                "url": "https://tokens.example.com",
                "profile": "rfc9068",
                "algorithm": "ES256",
            }
        },
        "callers": {
            "mobile": {"kind": "subjects", "issuer": "https://dev-x.us.auth0.com/"},
            "nightly": {
                "kind": "client",
                "client_id": "nightly-1",
                "grant_types": ["client_credentials"],
            },
            "reports-api": {"kind": "client", "client_id": "reports-api", "grant_types": []},
        },
        "tokens": {
            "reports": {
                "issuer": "main",
                "audience": "https://api.example.com/reports",
                "scopes": ["reports:read"],
                "fetched": False,
            },
            "itwin": {"issuer": "", "audience": "", "scopes": ["itwin-platform"], "fetched": True},
        },
        "rules": [
            {
                "name": "nightly reports",
                "caller": "nightly",
                "token": "reports",
                "scope": "reports:read",
            },
            {"name": "models", "caller": "mobile", "token": "itwin", "scope": "itwin-platform"},
        ],
    }


def test_a_warning_does_not_keep_it_from_starting(run, good):
    (good / "tokenward.toml").write_text(GOOD.replace("${ITWIN}", "written-into-the-file"))
    said = run("check")
    assert said.code == 0
    assert "ok, with warnings: 1" in said.out
    assert "warning: tokenward.toml:" in said.err
    assert "tokens.itwin.client_secret" in said.err
    assert "written-into-the-file" not in said.out + said.err
    told = run("check", "--json").json
    assert (told["ok"], len(told["warnings"])) == (True, 1)
    assert set(told["warnings"][0]) == {"place", "message", "hint"}


def test_all_mistakes_are_told_at_once_with_places_and_suggestions(run, good):
    (good / "tokenward.toml").write_text(MISTAKEN)
    said = run("check")
    assert (said.code, said.out) == (78, "")
    assert "error: tokenward.toml:6 callers.mobile.proof" in said.err
    assert 'did you mean "jwt"?' in said.err
    assert 'did you mean "caller"?' in said.err
    assert "things to mend; nothing was started." in said.err
    told = run("check", "--json")
    assert (told.code, told.err) == (78, "")
    assert told.json["ok"] is False
    assert len(told.json["problems"]) == said.err.count("error: ")
    assert {"place", "message", "hint"} == set(told.json["problems"][0])


def test_a_file_elsewhere_is_checked_with_the_variables_beside_it(run, good, monkeypatch):
    (good / "below").mkdir()
    monkeypatch.chdir(good / "below")
    assert run("check", "--config", "../tokenward.toml").code == 0
    assert run("check", "-c", str(good / "tokenward.toml")).code == 0


def test_without_anything_there_is_a_file_to_begin_with(run, here):
    said = run("check")
    assert said.code == 78
    assert "tokenward dev" in said.err
    assert "[callers.nightly]" in said.err
    (problem,) = run("check", "--json").json["problems"]
    starter = problem["hint"].partition("this file:\n\n")[2]
    (here / "tokenward.toml").write_text(starter)
    (here / ".env").write_text(f"NIGHTLY_SECRET_HASH=sha256:{'0' * 64}\n")
    assert run("check").code == 0


def test_the_environment_of_the_seed_is_a_configuration_too(run, here):
    (here / ".env.local").write_text(
        "ITM_TOKEN_SERVER_CLIENT_ID=service-x\n"
        "ITM_TOKEN_SERVER_CLIENT_SECRET=a-secret-from-bentley\n"
        "ITM_TOKEN_SERVER_AUTH0_DOMAIN=dev-x.us.auth0.com\n"
    )
    said = run("check")
    assert said.code == 0
    assert "whomever https://dev-x.us.auth0.com/ vouches for" in said.out
    assert "a-secret-from-bentley" not in said.out + said.err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[callers", "tokenward.toml:1"),
        ("\x00", "tokenward.toml"),
        (GOOD.replace("${NIGHTLY}", "${NIGHTLI}"), "callers.nightly.secrets"),
        (GOOD.replace("sqlite:", "mysql:"), "store"),
        (
            GOOD.replace('issuer = "https://tokens.example.com"\n', "")
            + '[issuers.main]\nurl = "https://a.example.com"\n'
            + '[issuers.other]\nurl = "https://b.example.com/"\n',
            "issuers.other.url",
        ),
    ],
)
def test_each_mistake_has_its_place(run, good, text, place):
    (good / "tokenward.toml").write_text(text)
    said = run("check")
    assert (said.code, said.out) == (78, "")
    assert place in said.err


@pytest.mark.parametrize("path", ["nowhere.toml", ".", "/dev/null/x"])
def test_a_file_that_cannot_be_read_is_said(run, here, path):
    said = run("check", "--config", path)
    assert (said.code, said.out) == (78, "")
    assert f"error: {path}" in said.err or f"error: {path.lstrip('./') or '.'}" in said.err


EVERYBODY = """
[callers.ci]
proof    = "jwt"
preset   = "github_actions"
audience = "https://tokens.example.com"
[[allow]]
caller = "ci"
claims = { environment = "production" }
token  = "reports"
scope  = "reports:read"
"""


@pytest.mark.parametrize("asked", ["check", "serve"])
def test_a_rule_for_everybodys_workloads_is_refused_with_the_reason(good, asked):
    (good / "tokenward.toml").write_text(GOOD + EVERYBODY)
    said = command(asked, cwd=good)
    assert (said.code, said.out) == (78, "")
    assert "allow[3].claims" in said.err
    assert "must say whose repository: GitHub vouches for everybody's workflows" in said.err
    assert "environment is a name that every repository can use" in said.err
    assert 'repository = "acme/app"' in said.err
