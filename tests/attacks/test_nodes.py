"""Two servers on one store: what one has done holds for the other at once (§4, R-27)."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.attacks.lab import Process

KEYS = "/.well-known/jwks.json"


@pytest.fixture(params=["sqlite", "postgresql"])
def nodes(request, labs, tmp_path):
    """Two of them, started at the same moment on an empty store."""
    key = f'encryption_key_file = "{tmp_path}/encryption.key'
    if request.param == "sqlite":
        lab = labs(store=f'sqlite://{{folder}}/t.db"\n{key}')
    else:
        url = request.getfixturevalue("postgresql").fresh()
        lab = labs(store=f'{url}"\n{key}')
    other = Process(tmp_path / "other", lab.server.config.read_text())
    with ExitStack() as stack, ThreadPoolExecutor(2) as at_once:
        stack.callback(other.kill)
        yield list(at_once.map(Process.start, (lab.server, other)))


def test_two_nodes_are_one_server_and_one_of_them_is_enough(nodes):
    one, other = nodes
    keys = one.ask("GET", KEYS).body
    assert other.ask("GET", KEYS).body == keys
    for here, there in [(one, other), (other, one)] * 10:
        token = here.post().token
        assert there.live(token)
        assert here.live(token)
        assert here.revoke(token).status == 200
        assert not there.live(token)
        assert not here.live(token)
    kept, revoked = one.post().token, one.post().token
    assert other.revoke(revoked).status == 200
    one.kill()
    assert other.live(kept)
    assert not other.live(revoked)
    assert other.post().status == 200
    one.start()
    assert one.ask("GET", KEYS).body == keys
    assert one.live(kept)
    assert not one.live(revoked)
    assert [node.end(signal.SIGTERM) for node in nodes] == [0, 0]
