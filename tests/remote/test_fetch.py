"""Whatever somebody else's server does: an answer within limits, or one error in our words."""

import asyncio
import contextlib
import threading
import time
from email.utils import formatdate

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenward
from tests.servers import JWKS, SECRET_TEXT, Issuer, until
from tokenward.remote.fetch import (
    LONGEST_RETRY,
    RemoteError,
    arun,
    json_object,
    open_async_client,
    open_client,
    retry_after,
    run,
)


def ask(url):
    response = yield httpx2.Request("GET", url)
    return json_object(response)


def fetch(url, **limits):
    with open_client() as client:
        return run(ask(url), client, **limits)


async def afetch(url, **limits):
    async with open_async_client() as client:
        return await arun(ask(url), client, **limits)


@pytest.fixture(params=["threads", "event loop"])
def get(request):
    """Both drivers, from a test that is neither."""
    if request.param == "threads":
        return fetch
    return lambda url, **limits: asyncio.run(afetch(url, **limits))


def test_an_answer_is_carried(issuer, get):
    assert get(issuer.jwks_uri)["keys"] == [issuer.keys[0].public_jwk()]


def test_who_asks_says_so_and_wants_it_unpacked(issuer, get):
    get(issuer.jwks_uri)
    assert issuer.seen[0]["user-agent"] == f"tokenward/{tokenward.__version__}"
    assert issuer.seen[0]["accept-encoding"] == "identity"


BAD = {
    "500": ("answered 500", 500, True),
    "503": ("answered 503", 503, True),
    "429": ("answered 429", 429, True),
    "408": ("answered 408", 408, True),
    "400": ("answered 400", 400, False),
    "401": ("answered 401", 401, False),
    "404": ("answered 404", 404, False),
    "204": ("answered 204", 204, False),
    "html": ("not with a JSON object", 200, False),
    "empty": ("not with a JSON object", 200, False),
    "list": ("not with a JSON object", 200, False),
    "redirect": ("a redirect", 302, False),
    "huge": ("more than 262144 bytes", 200, False),
    "bomb": ("more than 262144 bytes", 200, False),
    "encoded": ("an encoding that was not asked for", 200, False),
    "mispacked": ("cannot be unpacked", 0, False),
    "garbage": ("hung up, or answered something that is not HTTP", 0, True),
    "cut": ("hung up, or answered something that is not HTTP", 0, True),
    "hang_up": ("hung up, or answered something that is not HTTP", 0, True),
    "hang": ("did not answer in time", 0, True),
    "drip": ("did not answer in time", 0, True),
    "drip_head": ("did not answer in time", 0, True),
}


@pytest.mark.parametrize("habit", BAD)
def test_a_bad_answer_is_one_error_in_our_words(issuer, get, habit):
    issuer.behaviour[JWKS] = habit
    said, status, transient = BAD[habit]
    started = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        get(issuer.jwks_uri, deadline=0.4 if "in time" in said else 10.0)
    assert time.monotonic() - started < 5
    error = caught.value
    assert said in error.reason
    assert (error.status, error.transient, error.code) == (status, transient, "")
    assert SECRET_TEXT not in f"{error!r} {error} {error.reason}"


@pytest.mark.parametrize("habit", BAD)
def test_the_next_good_answer_is_carried_by_the_same_client(issuer, habit):
    issuer.behaviour[JWKS] = habit
    with open_client() as client:
        with pytest.raises(RemoteError):
            run(ask(issuer.jwks_uri), client, deadline=0.4)
        issuer.behaviour.clear()
        assert run(ask(issuer.jwks_uri), client)["keys"]


def test_a_redirect_is_not_followed(issuer, get):
    issuer.behaviour[JWKS] = "redirect"
    with pytest.raises(RemoteError):
        get(issuer.jwks_uri)
    assert issuer.asked == [JWKS]


def test_what_lies_packed_on_their_disk_is_unpacked(issuer, get):
    issuer.behaviour[JWKS] = "packed"
    assert get(issuer.jwks_uri)["keys"]


def test_their_cookies_are_not_kept(issuer):
    issuer.behaviour[JWKS] = "cookies"
    with open_client() as client:
        run(ask(issuer.jwks_uri), client)
        run(ask(issuer.jwks_uri), client)
        assert not list(client.cookies.jar)
    assert "cookie" not in issuer.seen[1]


def test_a_body_of_just_the_limit_is_carried(issuer, get):
    size = len(httpx2.get(issuer.jwks_uri, trust_env=False).content)
    assert get(issuer.jwks_uri, limit=size)
    with pytest.raises(RemoteError, match=f"more than {size - 1} bytes"):
        get(issuer.jwks_uri, limit=size - 1)


@pytest.mark.parametrize(
    ("url", "said", "transient"),
    [
        ("http://127.0.0.1:1/", "refuses connections", True),
        ("http://no-such-host.invalid/", "cannot be looked up", True),
        (f"http://{'a' * 64}.example/", "not an address|cannot be looked up", None),
        ("http://xn--zzzzzzz\u0331.example/", "address is not one", False),
        ("gopher://127.0.0.1/", "not an address", False),
        ("/relative", "not an address", False),
    ],
)
def test_an_address_that_leads_nowhere_is_an_error(get, url, said, transient):
    with pytest.raises(RemoteError, match=said) as caught:
        get(url)
    assert caught.value.status == 0
    assert transient in (None, caught.value.transient)


def test_the_deadline_is_for_the_whole_conversation(issuer, get):
    issuer.behaviour[JWKS] = "hang"

    def stubborn():
        errors = []
        for _ in range(20):
            try:
                yield httpx2.Request("GET", issuer.jwks_uri)
            except RemoteError as exc:
                errors.append(exc.reason)
        return errors

    started = time.monotonic()
    with open_client() as client:
        assert len(run(stubborn(), client, deadline=0.3)) == 20
    assert time.monotonic() - started < 3  # for each of them it would be six


def test_a_flow_may_go_on_after_an_error(issuer):
    def patient():
        with contextlib.suppress(RemoteError):
            yield httpx2.Request("GET", "http://127.0.0.1:1/")
        response = yield httpx2.Request("GET", issuer.jwks_uri)
        return response.status_code

    with open_client() as client:
        assert run(patient(), client) == 200


def test_a_flow_is_closed_whatever_happens(issuer):
    closed = []

    def flow():
        try:
            yield httpx2.Request("GET", "http://127.0.0.1:1/")
        finally:
            closed.append(True)

    with open_client() as client, pytest.raises(RemoteError):
        run(flow(), client)
    assert closed == [True]


def test_mistakes_of_ours_are_not_blamed_on_them(issuer):
    client = open_client()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        run(ask(issuer.jwks_uri), client)


async def test_cancelling_hangs_up(issuer):
    issuer.behaviour[JWKS] = "drip"
    async with open_async_client() as client:
        task = asyncio.create_task(arun(ask(issuer.jwks_uri), client))
        await until(lambda: issuer.asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        issuer.behaviour.clear()
        assert await arun(ask(issuer.jwks_uri), client)


async def test_many_can_be_asked_at_once_while_one_hangs(issuer):
    issuer.behaviour["/hung"] = "hang"
    async with open_async_client() as client:
        hung = asyncio.create_task(arun(ask(f"{issuer.origin}/hung"), client))
        for _ in range(20):
            assert await arun(ask(issuer.jwks_uri), client)
        hung.cancel()


def test_threads_share_a_client(issuer):
    answers = []
    with open_client() as client:
        threads = [
            threading.Thread(target=lambda: answers.append(run(ask(issuer.jwks_uri), client)))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 16


def answer(status, content=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, content=content, headers=headers)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":"invalid_grant","error_description":"x"}', "invalid_grant"),
        (b'{"error":"invalid_client"}', "invalid_client"),
        (b'{"error":"Invalid Grant!"}', ""),
        (b'{"error":"<script>"}', ""),
        (b'{"error":"' + b"a" * 41 + b'"}', ""),
        (b'{"error":["invalid_grant"]}', ""),
        (b'{"error":null}', ""),
        (b'{"error":"invalid_grant","error":"invalid_client"}', ""),
        (b'["error"]', ""),
        (b"invalid_grant", ""),
        (b"", ""),
    ],
)
def test_only_the_code_of_their_error_is_read(body, code):
    with pytest.raises(RemoteError) as caught:
        json_object(answer(400, body))
    assert caught.value.code == code
    assert caught.value.reason == "the server answered 400"


def test_another_status_than_expected_is_an_error_even_if_it_is_a_success():
    assert json_object(answer(201, b"{}"), expect=201) == {}
    with pytest.raises(RemoteError, match="201"):
        json_object(answer(201, b"{}"))


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("999999", LONGEST_RETRY),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        (formatdate(NOW + 10**8, usegmt=True), LONGEST_RETRY),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 30, None),
        ("\u0661", None),
        ("Thu, 99 Foo 2023 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert retry_after(value, now=NOW) == seconds


def test_retry_after_as_a_date_is_counted_from_their_own_clock():
    headers = {"Retry_After": formatdate(NOW + 30, usegmt=True), "Date": formatdate(NOW)}
    with pytest.raises(RemoteError) as caught:
        json_object(answer(503, **headers))
    assert caught.value.retry_after == 30.0


def test_retry_after_arrives_with_the_error(issuer, get):
    issuer.behaviour[JWKS] = "429"
    issuer.headers["Retry-After"] = "12"
    with pytest.raises(RemoteError) as caught:
        get(issuer.jwks_uri)
    assert caught.value.retry_after == 12.0


@given(st.text(max_size=60))
def test_any_retry_after_is_a_sane_number_or_none(value):
    seconds = retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_body_is_an_object_or_a_remote_error(body, status):
    try:
        assert isinstance(json_object(answer(status, body)), dict)
    except RemoteError as exc:
        assert exc.reason.isascii()  # noqa: PT017


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_proxies_of_the_environment_are_ignored(issuer, monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(issuer.jwks_uri)


def test_two_issuers_do_not_mix(issuer, other_key):
    with Issuer(other_key).serving() as other:
        assert fetch(issuer.jwks_uri) != fetch(other.jwks_uri)
