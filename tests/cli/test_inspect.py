"""``tokenward inspect``: what a token says, and whether it may be believed."""

import json
import time

import pytest

from tests.dev import command
from tokenward.jose.keys import SigningKey

KEY = SigningKey.generate("ES256")


def signed(**claims):
    return KEY.sign({"iss": "https://x.example.com", **claims}, typ="at+jwt")


def test_header_and_claims_are_shown_with_their_times(tmp_path):
    now = int(time.time())
    token = signed(exp=now + 930, iat=now, nbf=now - 7_250, scope="a b", roles=["x", 1, None])
    said = command("inspect", cwd=tmp_path, stdin=token)
    assert said.code == 0
    assert said.err == "not verified; --issuer and --audience do that\n"
    lines = said.out.splitlines()
    assert lines[0] == "header"
    assert "  alg  ES256" in lines
    assert "  iss    https://x.example.com" in lines
    assert '  roles  ["x", 1, null]' in lines
    assert any(line.startswith("  exp ") and line.endswith("UTC, in 15 minutes") for line in lines)
    assert any(line.startswith("  nbf ") and line.endswith("UTC, 2 hours ago") for line in lines)


def test_for_programs_it_is_json(run):
    said = run("inspect", "--json", stdin=signed(n=1)).json
    assert said == {
        "header": {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid},
        "claims": {"iss": "https://x.example.com", "n": 1},
        "verified": False,
    }


@pytest.mark.parametrize(
    "form", ["{}", "{}\n", "  {}  ", "Bearer {}", "Authorization: Bearer {}\r\n"]
)
def test_whatever_is_copied_along_does_no_harm(run, form):
    token = signed(sub="x")
    assert run("inspect", "--json", stdin=form.replace("{}", token)).json["claims"]["sub"] == "x"
    assert run("inspect", "--json", form.replace("{}", token)).json["claims"]["sub"] == "x"


def test_the_whole_answer_of_a_token_endpoint_will_do(run):
    answer = json.dumps({"access_token": signed(sub="x"), "token_type": "Bearer"})
    assert run("inspect", "--json", stdin=answer).json["claims"]["sub"] == "x"


def test_with_its_issuer_it_is_verified(sourced, run):
    token = run("token").out
    who = ("--issuer", sourced.url, "--audience", "https://reports.example.com")
    said = run("inspect", *who, stdin=token)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "verified"
    assert run("inspect", *who, "--json", stdin=token).json["verified"] is True


@pytest.mark.parametrize(
    ("issuer", "audience", "why"),
    [
        ("{issuer}", "https://other.example.com", "aud"),
        ("{issuer}/ims", "https://reports.example.com", ""),
        ("{issuer}/nothing", "https://reports.example.com", "404"),
        ("http://127.0.0.1:1", "https://reports.example.com", "refuses connections"),
        ("not a url", "https://reports.example.com", ""),
        ("http://x.example.com", "https://reports.example.com", "https"),
    ],
)
def test_what_is_not_to_be_believed_ends_with_1(sourced, run, issuer, audience, why):
    token = run("token").out
    who = ("--issuer", issuer.format(issuer=sourced.url), "--audience", audience)
    said = run("inspect", *who, stdin=token)
    assert said.code == 1
    assert said.out.splitlines()[-1].startswith("refused: ")
    assert why in said.out.splitlines()[-1]
    told = run("inspect", *who, "--json", stdin=token)
    assert (told.code, told.json["verified"]) == (1, False)
    assert why in told.json["refusal"]


def test_a_forgery_is_refused(sourced, run):
    genuine = run("token").out.strip()
    head, claims, _ = genuine.split(".")
    forged = f"{head}.{claims}.{signed().rpartition('.')[2]}"
    who = ("--issuer", sourced.url, "--audience", "https://reports.example.com")
    assert run("inspect", *who, stdin=genuine).code == 0
    assert run("inspect", *who, stdin=forged).code == 1


def test_an_old_token_is_called_that(run):
    said = run("inspect", stdin=signed(exp=1_000_000_000))
    assert "expired" in said.err
    assert "days ago" in said.out


@pytest.mark.parametrize("exp", [-1, 1e300, 2**62, "soon", True, None])
def test_a_time_that_is_none_is_shown_as_it_is(run, exp):
    said = run("inspect", stdin=signed(exp=exp))
    assert said.code == 0
    assert "  exp  " in said.out


def test_a_token_cannot_write_on_the_terminal(run):
    said = run("inspect", stdin=signed(name="\x1b[2Jgone\x07\u202e"))
    assert "\x1b" not in said.out
    assert "\x07" not in said.out
    assert "\u202e" not in said.out
    assert "gone" in said.out


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a.b.c",
        "a.b",
        "{",
        "[]",
        '{"access_token": "opaque"}',
        '{"error": "invalid_client"}',
        signed() + "x=",
        signed().rpartition(".")[0],
        b"\xff\xfe",
        "." * 100_000,
        "{" * 100_000,
    ],
)
def test_what_is_no_token_is_said_and_not_repeated(run, text):
    said = run("inspect", stdin=text)
    assert (said.code in (1, 2), said.out) == (True, "")
    assert len(said.err) < 400
    told = run("inspect", "--json", stdin=text)
    assert (told.code, told.err, told.json["ok"]) == (said.code, "", False)


def test_no_token_at_all_is_not_understood(run):
    said = run("inspect", stdin="")
    assert (said.code, said.out) == (2, "")
    assert "there is no token" in said.err


@pytest.mark.parametrize("one", [("--issuer", "https://x.example.com"), ("--audience", "x")])
def test_verifying_takes_both(run, one):
    said = run("inspect", *one, stdin=signed())
    assert (said.code, said.out) == (2, "")
    assert "--issuer and --audience go together" in said.err
