"""Signature Version 4, against the vectors that AWS has published for it."""

from calendar import timegm

import httpx2
import pytest

from tokenward.client.ambient.sigv4 import Keys, sign

KEYS = Keys(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = timegm((2015, 8, 30, 12, 36, 0))
URL = "https://example.amazonaws.com/"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("request_", "names", "signature"),
    [
        pytest.param(
            httpx2.Request("GET", URL),
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            httpx2.Request("POST", URL),
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            httpx2.Request("POST", URL, headers={"Content-Type": FORM}, content=b"Param1=value1"),
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
    ],
)
def test_the_signature_is_that_of_the_vector(request_, names, signature):
    sign(request_, KEYS, region="us-east-1", service="service", now=NOW)
    assert request_.headers["X-Amz-Date"] == "20150830T123600Z"
    assert request_.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_a_session_is_signed_too():
    keys = Keys(access_key="a", secret_key="s", session="the session")
    request = httpx2.Request("POST", URL, content=b"x")
    sign(request, keys, region="us-east-1", service="sts", now=NOW)
    assert "x-amz-security-token" in request.headers["Authorization"]


def test_no_key_is_in_a_repr():
    assert "hush" not in repr(Keys(access_key="a", secret_key="hush", session="hush"))
