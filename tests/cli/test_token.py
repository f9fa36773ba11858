"""``tokenward token``: a token for scripts, from any OAuth 2 server, and no secret on show."""

import socket

import httpx2
import pytest

from tests.client.standin import Issuer, Reply
from tests.dev import command

SECRET = "a-secret-of-forty-characters-or-even-more"


def believed(dev, token):
    """What the practice API says to a token."""
    return httpx2.get(dev.urls["api"], headers={"Authorization": token}).status_code


def test_a_token_is_all_it_prints(dev, tmp_path):
    said = command("token", cwd=tmp_path, environ=dev.environ)
    assert (said.code, said.err) == (0, "")
    assert believed(dev, f"Bearer {said.out.strip()}") == 200


def test_a_whole_header_for_curl(sourced, run):
    said = run("token", "--header")
    assert said.out.startswith("Authorization: Bearer ey")
    assert believed(sourced, said.out.strip().removeprefix("Authorization: ")) == 200


def test_for_programs_it_is_json(sourced, run):
    said = run("token", "--scope", "reports:write reports:read", "--json").json
    assert set(said) == {"access_token", "token_type", "scope", "expires_in"}
    assert (said["token_type"], said["scope"]) == ("Bearer", "reports:read reports:write")
    assert 890 <= said["expires_in"] <= 900


def test_who_asks_can_be_said_in_full(dev, run, here):
    (here / "secret").write_text(f"{dev.said['client_secret']}\n")
    who = ("--issuer", dev.url, "--client-id", "demo", "--client-secret-file")
    assert run("token", *who, "secret").code == 0
    assert run("token", *who, "-", stdin=dev.said["client_secret"]).code == 0
    post = run("token", *who, "secret", "--method", "client_secret_post")
    assert post.code == 0
    endpoint = ("--issuer", dev.urls["token"], *who[2:])
    assert run("token", *endpoint, "secret").code == 0


def test_a_token_is_exchanged_for_another(dev, run, here):
    (here / "token").write_text(dev.said["caller_token"])
    said = run("token", "--issuer", dev.url, "--subject-token-file", "token")
    assert (said.code, said.err) == (0, "")
    bearer = {"Authorization": f"Bearer {said.out.strip()}"}
    assert httpx2.get(f"{dev.urls['itwin']}/users/me", headers=bearer).status_code == 200


def test_a_token_to_exchange_may_be_piped_in(sourced, run):
    token = f"{sourced.said['caller_token']}\n"
    for more in ((), ("--audience", "itwin"), ("--scope", "itwin-platform")):
        assert run("token", "--subject-token-file", "-", *more, stdin=token).code == 0


def test_several_audiences_and_resources_are_sent(here, run):
    with Issuer("nightly", SECRET) as issuer:
        who = ("--issuer", issuer.url, "--client-id", "nightly", "--client-secret-file", "-")
        what = ("--audience", "one", "--audience", "two", "--resource", "https://api.example.com")
        assert run("token", *who, *what, stdin=SECRET).code == 0
        (asked,) = issuer.questions
    assert asked.form["audience"] == ["one", "two"]
    assert asked.form["resource"] == ["https://api.example.com"]
    assert asked.basic == ("nightly", SECRET)


# ── no ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["--scope", "reports:everything"], "invalid_scope", "tokenward explain"),
        (["--audience", "nothing"], "invalid_target", "tokenward explain"),
        (["--subject-token-file", "token"], "invalid_grant", "tokenward inspect"),
        (["--client-id", "who", "--client-secret-file", "secret"], "invalid_client", "right id"),
        (["--client-secret-file", "secret"], "invalid_client", "right id"),
    ],
)
def test_a_refusal_is_the_servers_and_comes_with_the_next_step(
    sourced, run, here, arguments, said, hint
):
    (here / "token").write_text("no.such.token")
    (here / "secret").write_text(SECRET)
    ended = run("token", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"tokenward: no token: {said}")
    assert hint in ended.err
    told = run("token", *arguments, "--json")
    assert (told.code, told.err, told.json["ok"]) == (1, "", False)
    assert said in told.json["error"]
    assert hint in told.json["hint"]
    assert SECRET not in ended.err + told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "TOKENWARD_ISSUER"),
        (["--issuer", "https://x.example.com"], "TOKENWARD_CLIENT_ID"),
        (["--issuer", "https://x.example.com", "--client-id", "x"], "TOKENWARD_CLIENT_SECRET"),
        (["--issuer", "http://x.example.com", "--client-id", "x", "--client-secret-file", "s"], ""),
        (["--issuer", "not a url", "--client-id", "x", "--client-secret-file", "s"], ""),
        (["--client-secret-file", "nowhere"], "nowhere cannot be read: No such file"),
        (["--client-secret-file", "."], ". cannot be read: Is a directory"),
        (["--client-secret-file", "bytes"], "bytes cannot be read: it is not text"),
        (["--client-secret-file", "empty"], "the client secret is missing: empty is empty"),
        (["--client-secret-file", "-"], "the client secret is missing: standard input is empty"),
        (["--subject-token-file", "-"], "the token to exchange is missing"),
        (["--client-secret-file", "-", "--subject-token-file", "-"], "cannot be both"),
        (["--issuer", "https://x.example.com", "--scope", 'a"b'], "--scope: "),
        (
            [
                *("--issuer", "https://x.example.com", "--client-id", "x"),
                *("--client-secret-file", "s", "--method", "private_key_jwt"),
            ],
            "method",
        ),
    ],
)
def test_what_cannot_be_asked_is_not_sent(here, run, arguments, said):
    (here / "s").write_text(SECRET)
    (here / "empty").touch()
    (here / "bytes").write_bytes(b"\xff\xfe")
    ended = run("token", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("tokenward: ")
    assert said in ended.err
    assert SECRET not in ended.err
    told = run("token", *arguments, "--json")
    assert (told.code, told.err, told.json["ok"]) == (2, "", False)


def test_the_secret_of_one_issuer_is_not_told_to_another(sourced, run):
    with Issuer("demo", sourced.said["client_secret"]) as stranger:
        ended = run("token", "--issuer", stranger.url)
        assert stranger.asked == []
    assert ended.code == 2
    assert "is of another issuer" in ended.err


def test_nobody_there_is_said(here, run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("TOKENWARD_ISSUER", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TOKENWARD_CLIENT_ID", "demo")
    monkeypatch.setenv("TOKENWARD_CLIENT_SECRET", SECRET)
    ended = run("token")
    assert (ended.code, ended.out) == (1, "")
    assert "refuses connections" in ended.err
    assert "tokenward dev" in ended.err


def test_what_the_server_says_cannot_write_on_the_terminal(here, run):
    with Issuer("nightly", SECRET) as issuer:
        said = "\x1b[2J\x07no" + SECRET
        issuer.answers = [Reply(400, {"error": "invalid_scope", "error_description": said})] * 2
        who = ("--issuer", issuer.url, "--client-id", "nightly", "--client-secret-file", "-")
        ended = run("token", *who, stdin=SECRET)
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert SECRET not in ended.err
