"""An upstream that misbehaves, and a crowd (security research §4, R-14 to R-19)."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests import upstream as u
from tests.attacks.lab import JWT, TOKEN_EXCHANGE
from tests.world import UPSTREAM_SECRET


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A server that has no token yet; whatever is tried here must not give it one."""
    from contextlib import ExitStack  # noqa: PLC0415

    from tests.attacks.lab import Lab  # noqa: PLC0415

    with ExitStack() as stack:
        lab = Lab(tmp_path_factory.mktemp("cold"), stack)
        lab.server.start()
        yield lab
        assert lab.server.end(15) == 0


BAD = {
    "400": u.says(400, json.dumps({"error": u.THEIRS, "error_description": u.THEIRS})),
    "401": u.says(401, json.dumps({"error": "invalid_client", "error_description": u.THEIRS})),
    "201": u.says(201, '{"access_token":"a","token_type":"Bearer"}'),
    "204": u.says(204),
    "307": u.says(307, u.THEIRS, Location="/stolen"),
    "302": u.says(302, u.THEIRS, Location="/stolen"),
    "500": u.says(500, u.THEIRS),
    "html": u.says(200, f"<html>{u.THEIRS}</html>"),
    "empty": u.says(200),
    "list": u.says(200, "[]"),
    "twice": u.says(200, '{"access_token":"a","access_token":"b","token_type":"Bearer"}'),
    "NaN": u.says(200, '{"access_token":"a","token_type":"Bearer","expires_in":NaN}'),
    "1e999": u.says(200, '{"access_token":"a","token_type":"Bearer","expires_in":1e999}'),
    "not HTTP": u.not_http,
    "hangs up": u.hangs_up,
    "endless": u.endless,
    "mac": u.token(token_type="mac"),
    "CRLF": u.token(access_token=f"a\r\nSet-Cookie: {u.THEIRS}"),
    "blank": u.token(access_token="a b"),
    "number": u.token(access_token=5),
    "none": u.token(access_token=None),
    "no ASCII": u.token(access_token="é"),
    "wider": u.token(scope="itwin-platform admin"),
    "scope list": u.token(scope=["itwin-platform"]),
    **{f"expires_in {it!r}": u.token(expires_in=it) for it in (0, -5, 1, True, [1], "soon", "-1")},
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_answer_is_503_and_nothing_of_it_is_heard(cold, how):
    cold.upstream.always = BAD[how]
    answer = cold.server.get_token(cold.user_token())
    assert answer.status == 503
    assert int(answer["retry-after"]) > 0
    for secret in (u.THEIRS, UPSTREAM_SECRET):
        assert secret.encode() not in answer.raw
        assert secret not in cold.server.stderr
    assert {it.path for it in cold.upstream.questions} == {"/connect/token"}


def test_what_is_written_to_standard_error_is_json(cold):
    """A law of serve.py: one record, one line of JSON."""
    cold.upstream.always = u.says(500)
    assert cold.server.get_token(cold.user_token()).status == 503
    said = cold.server.stderr.partition("tokenward: serving on ")[2].splitlines()[1:]
    for line in said:
        json.loads(line)


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [(None, 200, 300), ("3600", 3500, 3600), (1e3, 900, 1000), (40.5, 30, 40), (10**9, 3600, None)],
)
def test_an_odd_lifetime_is_understood_or_bounded(labs, seconds, least, most):
    lab = labs()
    lab.server.start()
    lab.upstream.always = u.token(expires_in=seconds)
    form = {"subject_token": lab.user_token(), "subject_token_type": JWT}
    answer = lab.server.post("/token", {"grant_type": TOKEN_EXCHANGE} | form, None)
    assert least <= answer.json["expires_in"] <= (most or 86_400 * 365)
    assert lab.server.end(15) == 0


def test_a_thousand_callers_are_one_question(labs):
    lab = labs()
    lab.server.start()
    lab.upstream.always = u.token(wait=0.5)
    head = f"Host: a\r\nAuthorization: Bearer {lab.user_token()}\r\n"
    request = f"GET /getToken HTTP/1.1\r\n{head}\r\n".encode()
    last = f"GET /getToken HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    together = Barrier(100)

    def ten(_):
        with socket.create_connection(("127.0.0.1", lab.server.port), 15) as it:
            together.wait(15)
            it.sendall(request * 9 + last)
            return b"".join(iter(lambda: it.recv(65536), b""))

    with ThreadPoolExecutor(100) as crowd:
        answers = b"".join(crowd.map(ten, range(100)))
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"Bearer theirs-1") == 1000
    assert len(lab.upstream.questions) == 1
    assert lab.server.end(15) == 0


def test_memory_and_descriptors_stay_where_they_are(lab, server):
    def batch(number, many):
        with socket.create_connection(("127.0.0.1", server.port), 15) as it, it.makefile("rb") as f:
            for one in range(many):
                token = lab.user_token(sub=f"{number}/{one}")
                head = f"Host: a\r\nAuthorization: Bearer {token}\r\n\r\n"
                it.sendall(f"GET /getToken HTTP/1.1\r\n{head}".encode())
                assert b" 200 " in f.readline()
                length = 0
                while (line := f.readline()) != b"\r\n":
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                f.read(length)

    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(batch, range(4), [1_100] * 4))  # more than are remembered
        memory, descriptors = server.memory, server.descriptors
        list(crowd.map(batch, range(4, 8), [600] * 4))
    assert server.memory < memory + 5_000
    assert server.descriptors <= descriptors + 5
