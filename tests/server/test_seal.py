"""What is sealed can be read only with the key, and only at its place."""

import concurrent.futures
import stat

import pytest

from tokenward.server.seal import Seal, SealBroken

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def test_what_was_sealed_is_read_back():
    seal = Seal.of(KEY)
    sealed = seal.close(b"a secret", "ring/main")
    assert b"a secret" not in sealed
    assert seal.open(sealed, "ring/main") == b"a secret"
    assert seal.close(b"a secret", "ring/main") != sealed


@pytest.mark.parametrize(
    ("key", "place", "spoil"),
    [
        (OTHER, "ring/main", lambda sealed: sealed),
        (KEY, "ring/other", lambda sealed: sealed),
        (KEY, "ring/main", lambda sealed: sealed[:-1]),
        (KEY, "ring/main", lambda sealed: sealed + b"\x00"),
        (KEY, "ring/main", lambda sealed: sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]),
        (KEY, "ring/main", lambda sealed: b"\x02" + sealed[1:]),
        (KEY, "ring/main", lambda sealed: b""),
        (KEY, "ring/main", lambda sealed: sealed[:5]),
    ],
)
def test_anything_else_is_refused(key, place, spoil):
    sealed = Seal.of(KEY).close(b"a secret", "ring/main")
    with pytest.raises(SealBroken):
        Seal.of(key).open(spoil(sealed), place)


@pytest.mark.parametrize("text", ["", "short", "a" * 42, "ä" * 43])
def test_a_key_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Seal.from_text(text)


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path):
    path = tmp_path / "seal.key"
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        seals = list(threads.map(lambda _: Seal.from_file(path), range(16)))
    sealed = seals[0].close(b"x", "here")
    assert all(seal.open(sealed, "here") == b"x" for seal in seals)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_key_does_not_show():
    assert KEY.hex() not in repr(Seal.of(KEY))
