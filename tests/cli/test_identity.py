"""``tokenward identity``: a key in a file of one's own, and tokens for whoever has it."""

import stat

import pytest

from tests.client.keyissuer import KeyIssuer, told
from tests.client.standin import Reply
from tests.jose.test_identity import OLD, OLD_PUBLIC, SEED, SEED_PUBLIC
from tokenward.client import KeyIdentity


@pytest.fixture
def issuer():
    with KeyIssuer() as issuer:
        yield issuer


@pytest.fixture
def key(here):
    (here / "ann.key").write_text(SEED + "\n")
    (here / "ann.key").chmod(0o600)
    return "ann.key"


def test_a_new_key_is_in_a_file_of_ones_own(run, here):
    said = run("identity", "new", "ann.key")
    assert said.code == 0
    file = here / "ann.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    private = file.read_text()
    assert said.out == f"{KeyIdentity.from_string(private).public_key}\n"
    assert private.strip() not in said.out + said.err


@pytest.mark.parametrize("kind", ["ed25519", "p256", "secp256k1"])
def test_a_new_key_may_be_of_another_type(run, here, kind):
    said = run("identity", "new", "x.key", "--type", kind, "--json")
    public = KeyIdentity.from_string((here / "x.key").read_text()).public_key
    assert said.json == {"ok": True, "public_key": str(public), "type": kind}


def test_a_file_that_exists_is_never_written_over(run, key, here):
    said = run("identity", "new", key)
    assert (said.code, said.out) == (1, "")
    assert "exists already" in said.err
    assert (here / key).read_text() == SEED + "\n"
    (here / "link").symlink_to(here / "elsewhere")
    assert run("identity", "new", "link").code == 1
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize("arguments", [("none/ann.key",), ("ann.key", "--type", "ed448")])
def test_where_there_can_be_no_key_there_is_no_file(run, here, arguments):
    said = run("identity", "new", *arguments)
    assert said.code in (1, 2)
    assert list(here.iterdir()) == []
    assert said.err


def test_the_public_half_of_a_key_is_shown(run, key, here):
    assert run("identity", "show", key).out == f"{SEED_PUBLIC}\n"
    assert run("identity", "show", "-", stdin=OLD).out == f"{OLD_PUBLIC}\n"
    for text in (SEED_PUBLIC, "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"):
        assert run("identity", "show", "-", stdin=text).out.startswith("bbaarei")
    assert run("identity", "show", key, "--json").json == {
        "ok": True,
        "public_key": SEED_PUBLIC,
        "type": "ed25519",
    }


@pytest.mark.parametrize("text", ["", "x", SEED[:-1], "b" + "a" * 100])
def test_what_is_no_key_is_not_repeated(run, text):
    said = run("identity", "show", "-", stdin=text)
    assert (said.code, said.out) == (1, "")
    assert "standard input is not a" in said.err
    assert len(text) < 20 or text[10:30] not in said.err


def test_a_key_gets_a_token(run, key, issuer):
    said = run("identity", "token", key, "--issuer", issuer.url, "--audience", "reports")
    assert (said.code, said.out, said.err) == (0, f"for-{SEED_PUBLIC}-1\n", "")
    assert issuer.questions[0].form["audience"] == ["reports"]
    assert SEED[8:50] not in told(issuer.asked)


def test_the_issuer_may_come_from_the_environment_and_the_token_in_a_header(
    run, key, issuer, monkeypatch
):
    monkeypatch.setenv("TOKENWARD_ISSUER", issuer.url)
    said = run("identity", "token", "-", "--header", "--scope", "reports:read", stdin=SEED)
    assert said.out == f"Authorization: Bearer for-{SEED_PUBLIC}-1\n"
    said = run("identity", "token", key, "--json")
    assert said.json["token_type"] == "Bearer"
    assert said.json["access_token"].startswith("for-")
    assert 3_500 < said.json["expires_in"] <= 3_600


def test_a_client_may_bring_the_key(run, key, issuer, here):
    (here / "secret").write_text("s" * 40)
    client = ["--client-id", "nightly", "--client-secret-file", "secret"]
    assert run("identity", "token", key, "--issuer", issuer.url, *client).code == 0
    assert issuer.questions[0].basic == ("nightly", "s" * 40)


def test_a_key_that_others_can_read_is_used_and_said(run, key, issuer, here):
    (here / key).chmod(0o644)
    said = run("identity", "token", key, "--issuer", issuer.url)
    assert said.code == 0
    assert "chmod 600" in said.err


def test_who_is_refused_hears_what_to_look_for(run, key, issuer):
    issuer.answers = [Reply(400, {"error": "invalid_grant", "error_description": "nobody"})]
    said = run("identity", "token", key, "--issuer", issuer.url)
    assert (said.code, said.out) == (1, "")
    assert "invalid_grant: nobody" in said.err
    assert "tokenward identity show" in said.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["ann.key"], "no issuer"),
        (["none.key", "--issuer", "{}"], "cannot be read"),
        (["public", "--issuer", "{}"], "is not a private key"),
        (["ann.key", "--issuer", "http://tokens.example.com"], "plain http"),
        (["ann.key", "--issuer", "{}", "--client-secret-file", "ann.key"], "client_id"),
        (["ann.key", "--issuer", "{}", "--scope", 'a"b'], "--scope"),
        (["-", "--issuer", "{}", "--client-secret-file", "-"], "standard input cannot be both"),
    ],
)
def test_what_makes_no_sense_is_not_asked(run, key, here, issuer, arguments, why):
    (here / "public").write_text(SEED_PUBLIC)
    said = run("identity", "token", *(it.format(issuer.url) for it in arguments))
    assert (said.code, said.out) == (2, "")
    assert why in said.err
    assert issuer.asked == []
