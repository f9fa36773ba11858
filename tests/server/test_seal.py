"""What is sealed can be read only with the key, and only at its place."""

import concurrent.futures
import stat
from base64 import urlsafe_b64encode

import pytest

from tokenward.server.seal import Seal, SealBroken

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
NEW, OLD = (urlsafe_b64encode(key).decode() for key in (OTHER, KEY))


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


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "short",
        "a" * 42,
        "ä" * 43,
        NEW + OLD,
        f"{NEW} short",
        f"{NEW};{OLD}",
        "+" * 43,
        " ".join([NEW] * 9),
    ],
)
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


@pytest.mark.parametrize("between", [" ", "\n", ", ", ",", "\r\n\t"])
def test_the_first_of_several_keys_seals_and_all_of_them_open(between):
    before, after = Seal.from_text(OLD), Seal.from_text(NEW)
    while_both = Seal.from_text(f"{NEW.rstrip('=')}{between}{OLD}\n")
    old, new = before.close(b"a secret", "ring"), while_both.close(b"a secret", "ring")

    assert while_both.open(old, "ring") == while_both.open(new, "ring") == b"a secret"
    assert (while_both.is_stale(old, "ring"), while_both.is_stale(new, "ring")) == (True, False)
    assert after.open(new, "ring") == b"a secret"
    with pytest.raises(SealBroken, match="another encryption key"):
        after.open(old, "ring")
    with pytest.raises(SealBroken, match="another encryption key"):
        before.is_stale(new, "ring")
    with pytest.raises(SealBroken):
        while_both.open(old, "elsewhere")


def test_a_key_file_may_hold_several(tmp_path):
    path = tmp_path / "seal.key"
    path.write_text(f"{NEW}\n{OLD}\n")
    path.chmod(0o600)
    assert Seal.from_file(path).open(Seal.of(KEY).close(b"x", "here"), "here") == b"x"
    assert not Seal.from_file(path).is_stale(Seal.of(OTHER).close(b"x", "here"), "here")

    path.write_text(f"{NEW}\n# {OLD}\n")
    with pytest.raises(SealBroken, match="something else than encryption keys"):
        Seal.from_file(path)


def test_the_keys_do_not_show():
    shown = repr(Seal.of(KEY, OTHER))
    assert not any(said in shown for said in (KEY.hex(), OTHER.hex(), OLD, NEW))


def test_a_mark_is_known_by_any_of_the_keys_and_by_no_other():
    old, new, other = (Seal.of(bytes([number]) * 32) for number in (1, 2, 3))
    both = Seal.of(b"\2" * 32, b"\1" * 32)
    mark = old.mark(b"a question")
    assert both.mark(b"a question") == new.mark(b"a question") != mark
    assert old.has_marked(b"a question", mark)
    assert both.has_marked(b"a question", mark)
    for seal, data, said in (
        (new, b"a question", mark),
        (other, b"a question", mark),
        (both, b"another", mark),
        (both, b"a question", mark[:-1]),
        (both, b"a question", mark.upper()),
        (both, b"a question", ""),
        (both, b"a question", "é"),
    ):
        assert not seal.has_marked(data, said)
