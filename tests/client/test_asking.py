"""Asking again if that may help, within a deadline, on real connections."""

import socket
import time as wall
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx2
import pytest

from tests.client.standin import HANG_UP, Issuer, Reply, Standin, endless, granted
from tokenward.client import Credentials, TokenEndpoint, TokenError, asking
from tokenward.client.asking import Asker
from tokenward.remote.fetch import open_client

US = Credentials(client_id="service-x", client_secret="s3cr3t")
ASK = partial(TokenEndpoint.client_credentials, scope="itwin-platform")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.01)


def asker(address, *, deadline=10.0, connect=open_client, clock=wall.time):
    return Asker(TokenEndpoint.at(address, US), deadline=deadline, connect=connect, clock=clock)


@contextmanager
def answering(*answers):
    with Issuer() as issuer:
        issuer.answers = list(answers)
        yield issuer


def test_a_token_is_had_from_an_issuer_and_from_its_endpoint(issuer):
    assert str(asker(issuer.url).ask(ASK)) == "token-1"
    assert str(asker(issuer.token_url).ask(ASK)) == "token-2"
    assert issuer.paths() == [
        "/.well-known/openid-configuration",
        "/connect/token",
        "/connect/token",
    ]
    assert [asked.basic for asked in issuer.questions] == [("service-x", "s3cr3t")] * 2


def test_metadata_is_read_once_and_again_after_a_failure(issuer):
    patient = asker(issuer.url)
    for _ in range(2):
        patient.ask(ASK)
    assert len(issuer.asked) == 3
    issuer.answers = [Reply(404)]
    with pytest.raises(TokenError):
        patient.ask(ASK)
    patient.ask(ASK)
    assert issuer.paths().count("/.well-known/openid-configuration") == 2


def test_the_life_of_a_token_is_counted_from_before_it_was_asked_for(issuer):
    readings = iter([1_000.0])
    token = asker(issuer.token_url, clock=lambda: next(readings)).ask(ASK)
    assert token.expires_at == 4_600.0


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 00:00:00 GMT"])
def test_a_server_whose_clock_is_wrong_does_no_harm(date):
    with answering(Reply(body=granted(expires_in=60), headers={"Date": date})) as issuer:
        token = asker(issuer.token_url, clock=lambda: 1_000.0).ask(ASK)
    assert token.expires_at == 1_060.0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_asked_about_again(status):
    with answering(Reply(status), Reply(status, "<html>")) as issuer:
        assert str(asker(issuer.token_url).ask(ASK)) == "token-3"


def test_a_connection_that_breaks_is_tried_again():
    with answering(HANG_UP, HANG_UP) as issuer:
        assert str(asker(issuer.token_url).ask(ASK)) == "token-3"


def test_metadata_that_cannot_be_had_just_now_is_asked_for_again(issuer):
    metadata = issuer.routes["/.well-known/openid-configuration"]
    answers = [Reply(503), metadata]
    issuer.routes["/.well-known/openid-configuration"] = lambda asked: (
        answers.pop(0) if isinstance(answers[0], Reply) else metadata(asked)
    )
    assert str(asker(issuer.url).ask(ASK)) == "token-1"


def test_nobody_is_asked_more_than_three_times():
    with answering(*[Reply(503, {"error": "temporarily_unavailable"})] * 9) as issuer:
        with pytest.raises(TokenError) as caught:
            asker(issuer.token_url).ask(ASK)
        assert len(issuer.questions) == 3
    assert (caught.value.error, caught.value.status) == ("temporarily_unavailable", 503)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "invalid_request"),
        (400, "invalid_scope"),
        (400, "invalid_target"),
        (400, "unauthorized_client"),
        (401, "invalid_client"),
        (403, "access_denied"),
        (404, ""),
        (405, ""),
        (413, ""),
        (415, ""),
    ],
)
def test_what_the_server_has_decided_is_not_asked_again(status, error):
    with answering(Reply(status, {"error": error})) as issuer:
        with pytest.raises(TokenError) as caught:
            asker(issuer.token_url).ask(ASK)
        assert len(issuer.questions) == 1
    assert (caught.value.status, caught.value.error, caught.value.transient) == (
        status,
        error,
        False,
    )


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, "<html>Sign in</html>", {"Content-Type": "text/html"}), "JSON object"),
        (Reply(200, ""), "JSON object"),
        (Reply(200, granted(token_type="mac")), "token_type"),
        (Reply(200, endless()), "more than"),
        (Reply(302, "", {"Location": "https://evil.example/token"}), "redirect"),
        (Reply(307, "", {"Location": "/elsewhere"}), "redirect"),
    ],
)
def test_an_answer_that_is_no_token_is_neither_believed_nor_asked_for_again(reply, said):
    with answering(reply) as issuer:
        with pytest.raises(TokenError, match=said):
            asker(issuer.token_url).ask(ASK)
        assert issuer.paths() == ["/connect/token"]  # and no redirect was followed


def test_retry_after_is_honoured():
    with answering(Reply(429, "", {"Retry-After": "1"})) as issuer:
        began = wall.monotonic()
        assert str(asker(issuer.token_url).ask(ASK)) == "token-2"
        assert wall.monotonic() - began >= 1.0


@pytest.mark.parametrize("after", ["60", "999999999", "Fri, 31 Dec 2100 00:00:00 GMT"])
def test_who_asks_us_to_stay_away_beyond_the_deadline_is_not_asked_again(after):
    with answering(Reply(503, "", {"Retry-After": after})) as issuer:
        began = wall.monotonic()
        with pytest.raises(TokenError) as caught:
            asker(issuer.token_url).ask(ASK)
        assert wall.monotonic() - began < 5
        assert len(issuer.questions) == 1
    assert caught.value.retry_after >= 60


def test_a_server_that_does_not_answer_is_given_up_at_the_deadline(issuer):
    issuer.gate.clear()
    began = wall.monotonic()
    with pytest.raises(TokenError, match="did not answer in time") as caught:
        asker(issuer.token_url, deadline=0.3).ask(ASK)
    assert wall.monotonic() - began < 3
    assert caught.value.transient
    issuer.gate.set()


def test_a_server_that_drips_is_given_up_at_the_deadline():
    def drip(_):
        def pieces():
            while True:
                wall.sleep(0.02)
                yield b" "

        return Reply(200, pieces())

    with Standin({"/token": drip}) as server:
        began = wall.monotonic()
        with pytest.raises(TokenError, match="did not answer in time"):
            asker(f"{server.url}/token", deadline=0.3).ask(ASK)
        assert wall.monotonic() - began < 3


def test_a_port_where_nobody_listens_is_a_passing_trouble():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TokenError, match="refuses connections") as caught:
        asker(f"http://127.0.0.1:{port}/token").ask(ASK)
    assert (caught.value.transient, caught.value.status) == (True, 0)


def test_somebody_elses_client_may_carry_the_question(issuer):
    opened = []

    def connect():
        opened.append(httpx2.Client(headers={"User-Agent": "acme"}))
        return opened[-1]

    assert str(asker(issuer.token_url, connect=connect).ask(ASK)) == "token-1"
    assert [client.is_closed for client in opened] == [True]
    assert issuer.questions[0].headers["user-agent"] == "acme"


def test_many_threads_may_ask_at_once(issuer):
    patient = asker(issuer.url)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: patient.ask(ASK), range(16)))
    assert len(tokens) == len(issuer.questions) == 16


def test_pauses_double_and_are_never_the_same_for_everybody():
    for tries, middle in (1, asking.FIRST_PAUSE), (2, 2 * asking.FIRST_PAUSE):
        pauses = [asking._pause(tries) for _ in range(50)]
        assert all(0.5 * middle <= pause <= 1.5 * middle for pause in pauses)
        assert len(set(pauses)) > 1


@pytest.mark.parametrize("said", ["s3cr3t", "subject-token-xyz"])
@pytest.mark.parametrize("where", ["error", "error_description"])
def test_no_error_repeats_what_was_secret(said, where):
    echo = Reply(400, {"error": "invalid_request", where: f"bad.{said}"})
    exchange = partial(TokenEndpoint.exchange, subject_token="subject-token-xyz")
    with answering(echo) as issuer, pytest.raises(TokenError) as caught:
        asker(issuer.token_url).ask(exchange)
    shown, seen = "", caught.value
    while seen:
        shown += repr(seen) + str(seen) + repr(vars(seen))
        seen = seen.__cause__ or seen.__context__
    assert said not in shown
