"""The parts of a token have one spelling, and JSON from outside has one meaning."""

import json
import sys
from importlib import util

import orjson
import pytest

from tests.jose.forge import CLAIMS, b64, dump
from tokenward.jose import jws
from tokenward.jose.jws import (
    DEEPEST,
    InvalidToken,
    decode,
    dump_object,
    encode,
    load_object,
    parse,
)


@pytest.fixture(scope="module")
def bare():
    """The module as it is where orjson is not installed."""
    spec = util.spec_from_file_location("bare_jws", jws.__file__)
    module = util.module_from_spec(spec)
    found = sys.modules["orjson"]
    sys.modules["orjson"] = None
    sys.modules["bare_jws"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules["orjson"] = found
        del sys.modules["bare_jws"]
    assert module.orjson is None
    return module


# ── base64url ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "text"),
    [  # RFC 4648 §10, without padding; RFC 7515 appendix C
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (bytes([3, 236, 255, 224, 193]), "A-z_4ME"),
        (b"\xff\xff\xff", "____"),
        (b"\xfb\xef\xbe", "----"),
    ],
)
def test_base64url_and_back(data, text):
    assert encode(data) == text
    assert decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "Zg=",
        "Zg==",
        "Zm9v=",
        "====",
        "Zh",
        "Zm9",
        "Zm9vYh",
        "A+z/4ME",
        "Zm 9v",
        " Zm9v",
        "Zm9v\n",
        "Zm9v\0",
        "Zm9\u00e9",
        "Zm9v.",
        "\ud800",
        "Zg==Zg==",
    ],
)
def test_there_is_no_other_spelling(text):
    with pytest.raises(ValueError, match=r"^not canonical base64url$"):
        decode(text)


# ── the parts ───────────────────────────────────────────────────────────────────────────────────


def test_a_token_is_taken_apart(forge):
    token = forge.token()
    compact = parse(token)
    assert compact.header == forge.header(forge.es)
    assert compact.payload == dump(CLAIMS)
    assert compact.signed == token.rpartition(".")[0].encode()
    assert encode(compact.signature) == token.rpartition(".")[2]


def test_taking_apart_verifies_nothing(forge):
    unsigned = forge.token().rpartition(".")[0] + "."
    assert parse(unsigned).signature == b""


@pytest.mark.parametrize("length", [1, 5_000])
def test_a_header_is_read_alone_as_it_is_with_the_rest(forge, length):
    token = forge.token(header=forge.header(forge.es, x="x" * length))
    header = jws.header_of(token)
    assert header == jws.parts(token)[0]
    head = token.partition(".")[0]
    assert jws.header_of(f"{head}.*.*") == header, "the rest is not looked at"
    for broken in (
        head,
        f"{head}.a",
        f"{token}.a",
        f"*.{token}",
        "\u00e9.a.b",
        "..",
        "e30.e30.e30",
    ):
        with pytest.raises(InvalidToken):
            jws.header_of(broken)
    with pytest.raises(InvalidToken, match=r"^too long$"):
        jws.header_of(token + "A" * jws.LONGEST)


@pytest.mark.parametrize("length", [100, 5_000])
def test_a_header_cannot_be_changed_for_the_next_token(forge, length):
    token = forge.token(header=forge.header(forge.es, x="x" * length))
    with pytest.raises(TypeError):
        parse(token).header["alg"] = "none"
    assert parse(token).header["alg"] == "ES256"


@pytest.mark.parametrize("length", [300, 400, 5_000])
def test_a_refused_header_stays_refused(length):
    header = b64(dump({"alg": "ES256", "crit": ["x"], "x": "x" * length}))
    for _ in range(3):
        with pytest.raises(InvalidToken, match="crit"):
            parse(f"{header}.e30.e30")


def test_the_longest_token_is_still_read(forge):
    token = forge.token()
    assert parse(token + "A" * (jws.LONGEST - len(token)) if len(token) % 4 == 0 else token)
    filled = f"{b64(dump({'alg': 'x'}))}.e30."
    assert parse(filled + "A" * ((jws.LONGEST - len(filled)) // 4 * 4))
    with pytest.raises(InvalidToken, match=r"^too long$"):
        parse(filled + "A" * (jws.LONGEST - len(filled) + 1))


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────

READABLE = [
    b"{}",
    b" {} ",
    b"\t\r\n{}\t\r\n",
    b'{"a":1}',
    b'{ "a" : 1 }',
    b'{"a":-0}',
    b'{"a":-0.0,"b":1.0,"c":1e5,"d":1E+5,"e":0.1,"f":1e-400}',
    b'{"a":18446744073709551615,"b":-9223372036854775808}',
    b'{"a":true,"b":false,"c":null,"d":"","e":[],"f":{}}',
    b'{"a":"\\u00e9","b":"\xc3\xa9","c":"\\n","d":"\\/","e":"\\ud83d\\ude00"}',
    b'{"a":"\x7f\xe2\x80\xa8\xef\xbf\xbf"}',
    b'{"\\u0061":1}',
    b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
    b'{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}',
    b'{"a":"\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\\"}',
    b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
    b'{"b":[],"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
    b'{"a":[' + b",".join([b"[]"] * 100) + b"]}",
    b'{"a":[' + b",".join([b'{"b":"]"}'] * 100) + b"]}",
]
UNREADABLE = [
    (b"", "not JSON"),
    (b"[]", "not a JSON object"),
    (b"1", "not a JSON object"),
    (b"{", "not JSON"),
    (b"{}x", "not JSON"),
    (b"\x0c{}", "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b"\xff", "not Unicode text"),
    (b'{"a":"\\ud800"}', "not Unicode text"),
    (b'{"a":1,"a":1}', "a member twice"),
    (b'{"a":{"b":1,"b":1}}', "a member twice"),
    (b'{"a":1,"\\u0061":1}', "a member twice"),
    (b'{"a":18446744073709551616}', "a number out of range"),
    (b'{"a":-9223372036854775809}', "a number out of range"),
    (b'{"a":1e400}', "a number out of range"),
    (b'{"a":NaN}', "a number that is none"),
    (b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", "nested too deeply"),
    (b'{"a":[],"b":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", "nested too deeply"),
    (b"[" * 200_000, "nested too deeply"),
    (b'{"a":' * 200_000, "nested too deeply"),
    (b'{"a":' * 31 + b"1" + b"}" * 30, "not JSON"),
    (b'{"a":[' + b"[]," * 100, "nested too deeply, or cut off"),
    (b'{"a":[' + b"[}," * 100 + b"1]}", "not JSON"),
    (b"[]" * 100_000, "not JSON"),
    (b"{" * 33 + b"}" * 33, "nested too deeply"),
]


@pytest.mark.parametrize("data", READABLE)
def test_json_with_one_meaning_is_read(data, bare):
    assert load_object(data) == bare.load_object(data) == json.loads(data)
    assert repr(load_object(data)) == repr(bare.load_object(data)) == repr(json.loads(data))


@pytest.mark.parametrize(("data", "reason"), UNREADABLE, ids=[str(d[:30]) for d, _ in UNREADABLE])
def test_all_other_json_is_refused(data, reason, bare):
    for read in (load_object, bare.load_object):
        with pytest.raises(ValueError, match=f"^{reason}"):
            read(data)


def test_strings_full_of_escapes_do_not_take_long():
    for text in (b'"' + b'\\"' * 100_000, b'{"a":"' + b"\\\\" * 100_000, b'"\\"[' * 50_000):
        with pytest.raises(ValueError, match=r"^not JSON|^nested"):
            load_object(text + b"[" * 40)


WRITABLE = [
    {},
    CLAIMS,
    {"a": [1, 1.5, True, None, "\u00e9\U0001f600", {"b": []}]},
    {"a": 'quote " backslash \\ slash / tab \t newline \n bell \x07 DEL \x7f'},
    {"a": 2**63, "b": -(2**63)},
]


@pytest.mark.parametrize("value", WRITABLE)
def test_json_is_written_the_same_with_and_without_orjson(value, bare):
    assert dump_object(value) == bare.dump_object(value)
    assert load_object(dump_object(value)) == value


@pytest.mark.parametrize("value", [{"a": {1}}, {"a": b"x"}, {"a": object()}, {"a": "\ud800"}])
def test_what_json_cannot_say_is_an_error_with_and_without_orjson(value, bare):
    for write in (dump_object, bare.dump_object):
        with pytest.raises((TypeError, ValueError)):
            write(value)


def test_the_server_has_the_faster_json():
    assert jws.orjson is orjson
