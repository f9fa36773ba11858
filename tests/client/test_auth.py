"""A token with every request: real clients, sync and async, against real servers."""

import asyncio
import io
import logging
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.client.standin import TLS, Api, Issuer, Reply, Standin, granted
from tokenward.client import (
    Credentials,
    InsecureURL,
    TokenAuth,
    TokenCache,
    TokenEndpoint,
    TokenError,
    aget_token,
    get_token,
)
from tokenward.client.cache import REPLACED_AT_MOST_EVERY
from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.messages import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE

# ── a token with every request ──


def test_every_request_bears_a_token_that_was_asked_for_once(caller, auth, issuer, api):
    for _ in range(3):
        assert caller.request(auth, "GET", api.url).json()["token"] == "token-1"
    assert api.tokens == ["Bearer token-1"] * 3
    assert [asked.form for asked in issuer.questions] == [
        {"grant_type": ["client_credentials"], "scope": ["itwin-platform"]}
    ]
    assert issuer.questions[0].basic == ("service-x", "s3cr3t")


def test_the_token_itself_can_be_had_too(caller, auth, issuer):
    assert [str(caller.token(auth)) for _ in range(2)] == ["token-1"] * 2
    assert len(issuer.questions) == 1


def test_a_token_that_has_expired_is_not_sent(caller, auth, api, time):
    caller.request(auth, "GET", api.url)
    time.pass_(3_600)
    caller.request(auth, "GET", api.url)
    assert api.tokens == ["Bearer token-1", "Bearer token-2"]


def test_a_hundred_threads_with_clients_of_their_own_ask_once(auth, issuer, api):
    issuer.gate.clear()

    def request(_):
        with httpx2.Client(auth=auth, verify=TLS) as client:
            return client.get(api.url).json()["token"]

    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(request, n) for n in range(100)]
        issuer.gate.set()
        assert {answer.result(30) for answer in answers} == {"token-1"}
    assert len(issuer.questions) == 1


async def test_a_thousand_tasks_ask_once(auth, issuer):
    issuer.gate.clear()
    tasks = [asyncio.create_task(auth.atoken()) for _ in range(1_000)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert {str(token) for token in await asyncio.gather(*tasks)} == {"token-1"}
    assert len(issuer.questions) == 1


async def test_many_tasks_of_one_client_ask_once(auth, issuer, api):
    async with httpx2.AsyncClient(auth=auth, verify=TLS) as client:
        answers = await asyncio.gather(*(client.get(api.url) for _ in range(50)))
    assert {answer.json()["token"] for answer in answers} == {"token-1"}
    assert len(issuer.questions) == 1


# ── who shares a token with whom ──


def test_whoever_asks_the_same_shares_one_token(caller, issuer, cache):
    def again(**changed):
        settings = {"client_id": "service-x", "client_secret": "s3cr3t", "scope": "b a"} | changed
        return str(
            caller.token(TokenAuth.client_credentials(issuer.token_url, cache=cache, **settings))
        )

    assert again() == again(scope="a b") == again(audience="") == again(audience=[""])
    assert len(issuer.questions) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": "a"},
        {"scope": "a b c"},
        {"audience": "x"},
        {"resource": "x:y"},
        {"audience": ["x", "y"]},
        {"client_id": "service-y"},
        {"client_secret": "other"},
        {"method": "client_secret_post"},
    ],
)
def test_whoever_asks_for_anything_else_does_not(caller, issuer, cache, changed):
    issuer.routes["/connect/token"] = lambda _: Reply(
        body=granted(f"token-{len(issuer.questions)}")
    )
    settings = {"client_id": "service-x", "client_secret": "s3cr3t", "scope": "a b"}
    for more in {}, changed:
        auth = TokenAuth.client_credentials(issuer.token_url, cache=cache, **settings | more)
        caller.token(auth)
    assert len(issuer.questions) == 2
    assert len(cache) == 2


def test_another_endpoint_is_asked_for_another_token(caller, issuer, cache):
    with Issuer() as other:
        for it in issuer, other:
            caller.token(
                TokenAuth.client_credentials(it.token_url, "service-x", "s3cr3t", cache=cache)
            )
        assert len(issuer.questions) == len(other.questions) == 1


# ── exchange ──


def test_a_token_is_exchanged_by_whoever_holds_it(caller, issuer, api, cache):
    auth = TokenAuth.exchange(
        issuer.url, subject_token="eyJ.alice", audience="itwin", scope="a", cache=cache
    )
    assert caller.request(auth, "GET", api.url).json()["token"] == "token-1"
    (asked,) = issuer.questions
    assert "authorization" not in asked.headers
    assert asked.form == {
        "grant_type": [TOKEN_EXCHANGE],
        "subject_token": ["eyJ.alice"],
        "subject_token_type": [ACCESS_TOKEN],
        "requested_token_type": [ACCESS_TOKEN],
        "audience": ["itwin"],
        "scope": ["a"],
    }


def test_a_client_may_exchange_on_behalf_of_somebody_and_say_for_whom_it_acts(
    caller, issuer, cache
):
    auth = TokenAuth.exchange(
        issuer.url,
        subject_token=lambda: "eyJ.alice",
        subject_token_type=JWT,
        actor_token="eyJ.bot",
        client_id="service-x",
        client_secret="s3cr3t",
        cache=cache,
    )
    caller.token(auth)
    (asked,) = issuer.questions
    assert asked.basic == ("service-x", "s3cr3t")
    assert asked.form["subject_token_type"] == [JWT]
    assert asked.form["actor_token"] == ["eyJ.bot"]
    assert asked.form["actor_token_type"] == [ACCESS_TOKEN]


def test_a_public_client_names_itself(caller, issuer, cache):
    auth = TokenAuth.exchange(issuer.url, subject_token="t", client_id="spa-x", cache=cache)
    caller.token(auth)
    assert issuer.questions[0].form["client_id"] == ["spa-x"]
    assert "client_secret" not in issuer.questions[0].form


def test_nobody_gets_a_token_exchanged_for_somebody_elses(caller, issuer, api, cache):
    current = ["eyJ.alice"]
    auth = TokenAuth.exchange(issuer.url, subject_token=lambda: current[0], cache=cache)
    bearing = []
    for subject in "eyJ.alice", "eyJ.bob", "eyJ.alice":
        current[0] = subject
        bearing.append(caller.request(auth, "GET", api.url).json()["token"])
    assert bearing == ["token-1", "token-2", "token-1"]
    assert [asked.form["subject_token"] for asked in issuer.questions] == [
        ["eyJ.alice"],
        ["eyJ.bob"],
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"subject_token": lambda: ""},
        {"subject_token": "eyJ", "actor_token": lambda: ""},
    ],
)
def test_without_a_token_to_exchange_nothing_is_asked(caller, issuer, api, cache, settings):
    auth = TokenAuth.exchange(issuer.url, cache=cache, **settings)
    with pytest.raises(TokenError, match="empty"):
        caller.request(auth, "GET", api.url)
    assert issuer.asked == api.asked == []


# ── a token that is refused ──


def test_a_refused_request_is_sent_once_more_with_another_token(caller, auth, issuer):
    with Api(accepts=lambda token: token == "token-2") as api:
        answer = caller.request(auth, "POST", api.url, json={"a": 1})
        assert answer.json() == {"token": "token-2", "body": '{"a":1}'}
        assert api.tokens == ["Bearer token-1", "Bearer token-2"]
    assert len(issuer.questions) == 2


def test_a_request_is_repeated_only_once(caller, auth, issuer):
    with Api(accepts=lambda _: False) as api:
        assert caller.request(auth, "GET", api.url).status_code == 401
        assert api.tokens == ["Bearer token-1", "Bearer token-2"]
    assert len(issuer.questions) == 2


def test_an_api_that_refuses_everything_does_not_make_a_flood_of_questions(
    caller, auth, issuer, time
):
    with Api(accepts=lambda _: False) as api:
        for _ in range(10):
            assert caller.request(auth, "GET", api.url).status_code == 401
        assert len(issuer.questions) == 2
        assert len(api.asked) == 11
        time.pass_(REPLACED_AT_MOST_EVERY)
        caller.request(auth, "GET", api.url)
        assert len(issuer.questions) == 3


def test_a_crowd_that_is_refused_asks_for_one_other_token(auth, issuer):
    with Api(accepts=lambda token: token == "token-2") as api:
        auth.token()

        def request(_):
            with httpx2.Client(auth=auth, verify=TLS) as client:
                return client.get(api.url).json()["token"]

        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(request, range(20))) == {"token-2"}
    assert len(issuer.questions) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 407, 500, 503])
def test_other_statuses_are_not_taken_for_a_refused_token(caller, auth, issuer, status):
    with Standin({"/": Reply(status)}) as api:
        assert caller.request(auth, "GET", f"{api.url}/").status_code == status
        assert len(api.asked) == 1
    assert len(issuer.questions) == 1


def test_the_same_token_again_is_not_sent_again(caller, auth, issuer):
    issuer.routes["/connect/token"] = Reply(body=granted("always-the-same"))
    with Api(accepts=lambda _: False) as api:
        assert caller.request(auth, "GET", api.url).status_code == 401
        assert len(api.asked) == 1


def test_no_other_token_to_be_had_is_said(caller, auth, issuer):
    with Api(accepts=lambda _: False) as api:
        caller.token(auth)
        issuer.answers = [Reply(400, {"error": "unauthorized_client"})]
        with pytest.raises(TokenError) as caught:
            caller.request(auth, "GET", api.url)
        assert caught.value.error == "unauthorized_client"
        assert len(api.asked) == 1


async def pieces():
    for piece in b"one", b"two":
        yield piece


SYNC_STREAMS = {
    "a generator": lambda: iter([b"one", b"two"]),
    "a file": lambda: io.BytesIO(b"onetwo"),
}


@pytest.mark.parametrize("stream", SYNC_STREAMS.values(), ids=SYNC_STREAMS)
def test_a_body_that_cannot_be_sent_twice_is_not(auth, stream):
    with (
        Api(accepts=lambda token: token == "token-2") as api,
        httpx2.Client(auth=auth, verify=TLS) as client,
    ):
        assert client.post(api.url, content=stream()).status_code == 401
        assert [asked.body for asked in api.asked] == [b"onetwo"]
        assert client.post(api.url, content=stream()).json()["token"] == "token-2"


async def test_an_async_stream_is_not_sent_twice_either(auth):
    with Api(accepts=lambda token: token == "token-2") as api:
        async with httpx2.AsyncClient(auth=auth, verify=TLS) as client:
            assert (await client.post(api.url, content=pieces())).status_code == 401
            assert [asked.body for asked in api.asked] == [b"onetwo"]
            answer = await client.post(api.url, content=pieces())
            assert answer.json() == {"token": "token-2", "body": "onetwo"}


def test_an_uploaded_file_is_not_sent_twice(caller, auth):
    with Api(accepts=lambda token: token == "token-2") as api:
        files = {"file": io.BytesIO(b"content")}
        assert caller.request(auth, "POST", api.url, files=files).status_code == 401
        assert len(api.asked) == 1


# ── where a token goes ──


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_leaves_the_token_behind(caller, auth, api, status):
    with Standin({"/": Reply(status, "", {"Location": f"{api.url}/elsewhere"})}) as first:
        answer = caller.request(auth, "GET", f"{first.url}/", follow_redirects=True)
        assert answer.status_code == 401
        assert first.asked[0].headers["authorization"] == "Bearer token-1"
    assert api.tokens == [""]  # and it was asked once: the refusal there says nothing of our token


def test_a_redirect_within_the_origin_keeps_it(caller, auth, api):
    api.routes["/old"] = Reply(302, "", {"Location": "/new"})
    answer = caller.request(auth, "GET", f"{api.url}/old", follow_redirects=True)
    assert answer.json()["token"] == "token-1"


def test_a_redirect_that_is_followed_by_hand_is_a_request_like_any_other(issuer, api, cache):
    with Standin({"/": Reply(302, "", {"Location": f"{api.url}/elsewhere"})}) as first:
        auth = TokenAuth.client_credentials(
            issuer.url, "service-x", "s3cr3t", cache=cache, only_to=[f"{first.url}/v1"]
        )
        with httpx2.Client(auth=auth, verify=TLS) as client:
            answer = client.get(f"{first.url}/")
            with pytest.raises(InsecureURL, match="not for"):
                client.send(answer.next_request)
    assert api.asked == []


@pytest.mark.parametrize("path", ["/", "/v1/x", "/v2?y=1"])
def test_only_to_names_origins(caller, issuer, api, cache, path):
    auth = TokenAuth.client_credentials(
        issuer.url, "service-x", "s3cr3t", cache=cache, only_to=[f"{api.url}/v1"]
    )
    assert caller.request(auth, "GET", api.url + path).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        "https://127.0.0.1/",
        "http://127.0.0.1:1/",
        "http://localhost/",
    ],
)
def test_what_only_to_does_not_name_is_not_asked_at_all(caller, issuer, api, cache, url):
    auth = TokenAuth.client_credentials(
        issuer.url, "service-x", "s3cr3t", cache=cache, only_to=[api.url]
    )
    with pytest.raises(InsecureURL, match="not for"):
        caller.request(auth, "GET", url)
    assert issuer.asked == []


@pytest.mark.parametrize(
    "url", ["http://api.example/", "http://192.0.2.1/", "http://127.0.0.1.api.example/"]
)
def test_a_token_is_not_sent_over_plain_http_to_another_machine(caller, auth, issuer, url):
    with pytest.raises(InsecureURL, match="plain http"):
        caller.request(auth, "GET", url)
    assert issuer.asked == []


def test_a_secret_is_not_sent_over_plain_http_to_another_machine():
    for address in "http://tokens.example", "http://tokens.example/token":
        with pytest.raises(InsecureURL):
            TokenAuth.client_credentials(address, "x", "y")
        with pytest.raises(InsecureURL):
            TokenAuth.exchange(address, subject_token="x")


def test_plain_http_passes_where_somebody_says_so(issuer, api, cache):
    auth = TokenAuth.client_credentials(
        issuer.token_url, "service-x", "s3cr3t", cache=cache, allow_http=True
    )
    with httpx2.Client(auth=auth, proxy=api.url, verify=TLS) as client:
        assert client.get("http://api.internal/").json()["token"] == "token-1"
    assert api.paths() == ["http://api.internal/"]


def test_a_token_replaces_whatever_authorization_there_was(caller, auth, api):
    caller.request(auth, "GET", api.url, headers={"Authorization": "Basic c2VjcmV0"})
    assert api.tokens == ["Bearer token-1"]


# ── no token ──


def test_without_a_token_no_request_is_sent(caller, auth, issuer, api):
    issuer.answers = [
        Reply(400, {"error": "invalid_scope", "error_description": "Not for this client."})
    ]
    with pytest.raises(TokenError, match=r"invalid_scope: Not for this client\.") as caught:
        caller.request(auth, "GET", api.url)
    assert (caught.value.error, caught.value.status) == ("invalid_scope", 400)
    assert api.asked == []
    assert caller.request(auth, "GET", api.url).status_code == 200


def test_wrong_credentials_are_said_once(caller, issuer, api, cache):
    auth = TokenAuth.client_credentials(issuer.url, "service-x", "wrong", cache=cache)
    with pytest.raises(TokenError, match=r"invalid_client: Who are you\?"):
        caller.request(auth, "GET", api.url)
    assert len(issuer.questions) == 1
    assert api.asked == []


def test_a_server_that_does_not_answer_is_waited_for_until_the_deadline(caller, issuer, cache):
    auth = TokenAuth.client_credentials(
        issuer.token_url, "service-x", "s3cr3t", cache=cache, deadline=0.2
    )
    issuer.gate.clear()
    with pytest.raises(TokenError, match="did not answer in time"):
        caller.token(auth)
    issuer.gate.set()


# ── what must be said, and what must not ──


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "no issuer: give the address of one, or set TOKENWARD_ISSUER"),
        ({"issuer_or_token_url": "https://i.example"}, "no client_id.*TOKENWARD_CLIENT_ID"),
        (
            {"issuer_or_token_url": "https://i.example", "client_id": "x"},
            "no client_secret.*TOKENWARD_CLIENT_SECRET",
        ),
        (
            {"issuer_or_token_url": "https://i.example", "client_id": "x", "client_secret": "y\n"},
            "line break",
        ),
    ],
)
def test_what_is_missing_is_said_at_once(arguments, said):
    with pytest.raises(ValueError, match=said):
        TokenAuth.client_credentials(**arguments)
    with pytest.raises(ValueError, match=said):
        get_token(**arguments)


def test_an_exchange_needs_a_subject():
    with pytest.raises(ValueError, match="subject_token is empty"):
        TokenAuth.exchange("https://i.example", subject_token="")


def test_a_scope_that_is_none_is_said_at_once():
    with pytest.raises(InvalidScope):
        TokenAuth.client_credentials("https://i.example", "x", "y", scope='"')


def test_an_endpoint_made_by_hand_may_be_given_instead_of_an_address(caller, issuer, cache):
    us = Credentials(client_id="x", client_secret="y", method="client_secret_post")
    endpoint = TokenEndpoint(url=issuer.token_url, credentials=us)
    caller.token(TokenAuth.client_credentials(endpoint, cache=cache))
    assert issuer.questions[0].form["client_secret"] == ["y"]
    with pytest.raises(ValueError, match="its own credentials"):
        TokenAuth.client_credentials(endpoint, "x", "y")


def test_no_secret_and_no_token_is_in_any_repr_or_log(caller, issuer, api, cache, caplog):
    caplog.set_level(logging.DEBUG)
    auth = TokenAuth.exchange(
        issuer.url,
        subject_token="subject-xyz",
        client_id="service-x",
        client_secret="s3cr3t",
        cache=cache,
    )
    answer = caller.request(auth, "GET", api.url)
    shown = repr(auth) + repr(vars(auth)) + repr(auth.token()) + repr(cache)
    shown += repr(answer.request) + repr(answer.request.headers) + caplog.text
    assert repr(auth) == f"<TokenAuth 'service-x' at {issuer.url}>"
    for secret in "subject-xyz", "s3cr3t", "token-1":
        assert secret not in shown


# ── one token, in one line ──


def test_get_token_asks_once_in_the_whole_process(issuer):
    settings = {"scope": "reports:read"}
    first = get_token(issuer.url, "service-x", "s3cr3t", **settings)
    again = asyncio.run(aget_token(issuer.url, "service-x", "s3cr3t", **settings))
    auth = TokenAuth.client_credentials(issuer.url, "service-x", "s3cr3t", **settings)
    assert str(first) == str(again) == str(auth.token()) == "token-1"
    assert len(issuer.questions) == 1


def test_get_token_takes_its_settings_from_the_environment(issuer, monkeypatch):
    monkeypatch.setenv("TOKENWARD_ISSUER", issuer.url)
    monkeypatch.setenv("TOKENWARD_CLIENT_ID", "service-x")
    monkeypatch.setenv("TOKENWARD_CLIENT_SECRET", "s3cr3t")
    assert str(get_token(cache=TokenCache())) == "token-1"
    assert str(asyncio.run(aget_token(scope="a", cache=TokenCache()))) == "token-2"
    assert [asked.basic for asked in issuer.questions] == [("service-x", "s3cr3t")] * 2


def test_get_token_exchanges_a_subjects_token(issuer):
    kept = TokenCache()
    for subject in "eyJ.alice", "eyJ.bob", "eyJ.alice":
        get_token(issuer.url, subject_token=subject, audience="itwin", cache=kept)
    mine = asyncio.run(
        aget_token(issuer.url, subject_token="eyJ.alice", audience="itwin", cache=kept)
    )
    assert str(mine) == "token-1"
    assert [asked.form["subject_token"] for asked in issuer.questions] == [
        ["eyJ.alice"],
        ["eyJ.bob"],
    ]
    assert {asked.form["grant_type"][0] for asked in issuer.questions} == {TOKEN_EXCHANGE}
