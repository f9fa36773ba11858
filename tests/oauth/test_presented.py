"""One request, one way to say who one is, read once."""

from base64 import b64encode

import pytest

from tokenward.oauth.errors import InvalidClient, InvalidRequest
from tokenward.oauth.presented import JWT_BEARER_ASSERTION, Presented

JWT = {"client_assertion_type": JWT_BEARER_ASSERTION}


def basic(text):
    return "Basic " + b64encode(text.encode()).decode()


def test_nothing_presented_is_nothing():
    assert not Presented.parse("", {})


@pytest.mark.parametrize(
    ("authorization", "parameters", "method", "candidates"),
    [
        (basic("nightly:s3cret"), {}, "client_secret_basic", (("nightly", "s3cret"),)),
        (basic("nightly:"), {}, "client_secret_basic", (("nightly", ""),)),
        (basic("a:b:c"), {}, "client_secret_basic", (("a", "b:c"),)),
        (basic("n:s").replace("Basic", "bAsIc"), {}, "client_secret_basic", (("n", "s"),)),
        (basic("n:s").replace(" ", "   "), {}, "client_secret_basic", (("n", "s"),)),
        (basic("n:s"), {"client_id": "n"}, "client_secret_basic", (("n", "s"),)),
        # What the iTwin client sends for the id "service a+b:c%20 d" and the secret "s e c/r=et+1".
        (
            basic("service+a%2Bb%3Ac%2520%20d:s%20e%20c%2Fr%3Det%2B1"),
            {},
            "client_secret_basic",
            (
                ("service a+b:c%20 d", "s e c/r=et+1"),
                ("service+a%2Bb%3Ac%2520%20d", "s%20e%20c%2Fr%3Det%2B1"),
            ),
        ),
        # What Okta's own example sends: raw.
        (basic("id:a+b"), {}, "client_secret_basic", (("id", "a b"), ("id", "a+b"))),
        ("", {"client_id": "n", "client_secret": "s"}, "client_secret_post", (("n", "s"),)),
        ("", {"client_id": "n"}, "none", (("n", ""),)),
        ("", {"client_assertion": "a.b.c"} | JWT, "private_key_jwt", (("", "a.b.c"),)),
        (
            "",
            {"client_assertion": "a.b.c", "client_id": "n"} | JWT,
            "private_key_jwt",
            (("n", "a.b.c"),),
        ),
    ],
)
def test_each_way_is_read(authorization, parameters, method, candidates):
    presented = Presented.parse(authorization, parameters)
    assert (presented.method, presented.candidates) == (method, candidates)
    assert "s3cret" not in repr(presented)


@pytest.mark.parametrize(
    ("authorization", "parameters"),
    [
        (basic("n:s"), {"client_id": "n", "client_secret": "s"}),
        (basic("n:s"), {"client_secret": "s"}),
        (basic("n:s"), {"client_assertion": "a.b.c"}),
        ("", {"client_id": "n", "client_secret": "s", "client_assertion": "a.b.c"}),
        (basic("n:s"), {"client_id": "other"}),
        ("", {"client_secret": "s"}),
    ],
)
def test_two_ways_at_once_are_refused(authorization, parameters):
    with pytest.raises(InvalidRequest):
        Presented.parse(authorization, parameters)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"client_assertion_type": ""},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_assertion_type": JWT_BEARER_ASSERTION.upper()},
    ],
)
def test_an_assertion_of_another_kind_is_refused(kind):
    with pytest.raises(InvalidClient):
        Presented.parse("", {"client_assertion": "a.b.c"} | kind)


@pytest.mark.parametrize(
    ("authorization", "parameters", "method"),
    [
        ("", {"client_id": "n"}, "tls_client_auth"),
        ("", {"client_id": "n", "client_secret": "s"}, "client_secret_post"),
        (basic("n:s"), {}, "client_secret_basic"),
        ("", {"client_assertion": "a.b.c"} | JWT, "private_key_jwt"),
        ("", {}, ""),
    ],
)
def test_a_certificate_counts_where_nothing_else_is_presented(authorization, parameters, method):
    presented = Presented.parse(authorization, parameters, certificate="PEM", issuer="main")
    assert presented.method == method
    assert presented.certificate == "PEM"
    assert presented.issuer == "main"
    assert "PEM" not in repr(presented)


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic\t" + b64encode(b"n:s").decode(),
        basic("n:s") + " ",
        basic("n:s") + ",",
        basic("nn:s").rstrip("="),
        basic("n:secr") + "==",
        basic("n:secr") + "====",
        "Basic " + b64encode(b"no colon").decode(),
        basic(":secret"),
        basic("n:s\x00"),
        basic("n\n:s"),
        "Basic " + b64encode(b"n:\xff").decode(),
        "Basic ****",
        "Basic bjpz-_==",
        "Bearer abc",
        "Digest username=n",
        "n:s",
        "Basic " + "A" * 5_000,
    ],
)
def test_malformed_headers_are_refused(header):
    with pytest.raises(InvalidClient):
        Presented.parse(header, {})
