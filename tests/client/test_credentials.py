"""How a client introduces itself, and whom it may tell."""

from base64 import b64decode

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.client import ANONYMOUS, Credentials, InsecureURL
from tokenward.client.credentials import secure
from tokenward.oauth.presented import Presented


@pytest.mark.parametrize(
    ("id", "secret", "sent"),
    [
        ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw"),
        (
            "service a+b:c%20 d",
            "s e c/r=et+1",
            "service+a%2Bb%3Ac%2520+d:s+e+c%2Fr%3Det%2B1",
        ),
        ("päul", "£1", "p%C3%A4ul:%C2%A31"),
    ],
)
def test_both_halves_are_form_encoded_before_they_are_joined(id, secret, sent):
    header = Credentials(client_id=id, client_secret=secret).header()["Authorization"]
    assert header.startswith("Basic ")
    assert b64decode(header.removeprefix("Basic ")).decode() == sent


VSCHARS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)


@given(VSCHARS, VSCHARS)
def test_our_own_server_reads_what_our_client_writes(id, secret):
    header = Credentials(client_id=id, client_secret=secret).header()["Authorization"]
    assert Presented.parse(header, {}).candidates[0] == (id, secret)


def test_each_method_has_one_place_for_the_secret():
    basic = Credentials(client_id="x", client_secret="s")
    post = Credentials(client_id="x", client_secret="s", method="client_secret_post")
    none = Credentials(client_id="x", method="none")
    assert (bool(basic.header()), basic.fields()) == (True, {})
    assert (post.header(), post.fields()) == ({}, {"client_id": "x", "client_secret": "s"})
    assert (none.header(), none.fields()) == ({}, {"client_id": "x", "client_secret": ""})
    assert (ANONYMOUS.header(), any(ANONYMOUS.fields().values())) == ({}, False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"client_id": "", "client_secret": "s"}, "client_id is missing"),
        ({"client_id": "x"}, "client_secret is missing"),
        ({"client_id": "x", "method": "client_secret_post"}, "client_secret is missing"),
        ({"client_id": "x", "client_secret": "s", "method": "none"}, "the method is none"),
        ({"client_id": "x", "client_secret": "hush\n"}, "client_secret contains a line break"),
        ({"client_id": "x\0", "client_secret": "hush"}, "client_id contains"),
        ({"client_id": "x", "client_secret": "hush", "method": "basic"}, "method is not"),
    ],
)
def test_credentials_that_cannot_be_are_refused_without_repeating_the_secret(settings, said):
    with pytest.raises(ValueError, match=said) as caught:
        Credentials(**settings)
    assert "hush" not in str(caught.value)


def test_a_secret_is_in_no_repr():
    assert "hush" not in repr(Credentials(client_id="x", client_secret="hush"))


@pytest.mark.parametrize(
    "url",
    [
        "https://ims.bentley.com/connect/token",
        "http://127.0.0.1:8000/token",
        "http://127.8.9.1/token",
        "http://[::1]/token",
        "http://localhost:5000",
        "http://LOCALHOST/",
        "wss://api.example/events",
        "ws://localhost/events",
    ],
)
def test_https_and_loopback_may_be_told_secrets(url):
    assert secure(url) is None
    assert secure(httpx2.URL(url)) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://ims.bentley.com/connect/token",
        "http://localhost.evil.example/",
        "http://evil.example/localhost",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://localhost@evil.example/",
        "http://evil.example\\@localhost/",
        "http://10.0.0.1/",
        "ws://api.example/events",
        "http://0.0.0.0/",
        "http://[::ffff:10.0.0.1]/",
        "http://127.1/",
        "http://localhost./",
        "https://id:secret@ims.bentley.com/",
        "https://",
        "https:///token",
        "//ims.bentley.com/token",
        "ims.bentley.com/token",
        "ftp://ims.bentley.com/token",
        "file:///etc/passwd",
        "https://a b/\n",
        "",
    ],
)
def test_nobody_else_may(url):
    with pytest.raises(InsecureURL) as caught:
        secure(url)
    assert "secret@" not in str(caught.value)


def test_plain_http_passes_only_if_somebody_says_so():
    secure("http://tokens.internal/token", allow_http=True)
    with pytest.raises(InsecureURL):
        secure("http://id:secret@tokens.internal/token", allow_http=True)
    with pytest.raises(InsecureURL):
        secure("ftp://tokens.internal/token", allow_http=True)
