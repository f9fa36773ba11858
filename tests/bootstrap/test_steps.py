"""Whoever waits is told what for; whoever cannot go on is told what to do."""

import io
import sys

import pytest

from bootstrap import steps as reasons
from bootstrap.steps import Failure, Steps


class Terminal(io.StringIO):
    def isatty(self):
        return True


def steps(tmp_path, stream=None):
    return Steps(tmp_path / "log", stream or io.StringIO())


def script(text):
    return [sys.executable, "-I", "-S", "-c", text]


def test_a_step_says_what_it_does_and_how_long_it_took(tmp_path):
    one = steps(tmp_path)
    assert one.run("counting", script("print('one')"))
    what, took = one.stream.getvalue().split(" … ")
    assert what == "tokenward: counting"
    assert took.endswith(" s\n")
    assert one.said == "one\n"


def test_on_a_terminal_the_seconds_count_up_and_elsewhere_they_do_not(tmp_path):
    one, two = steps(tmp_path, Terminal()), steps(tmp_path)
    slow = script("import time; time.sleep(1.2)")
    assert one.run("waiting", slow)
    assert two.run("waiting", slow)
    assert "\r\033[Ktokenward: waiting … 1 s" in one.stream.getvalue()
    assert two.stream.getvalue().count("waiting") == 1


def test_a_step_that_fails_says_so_and_its_words_are_kept(tmp_path):
    one = steps(tmp_path)
    assert not one.run("counting", script("import sys; sys.exit('cannot count')"))
    assert "failed after" in one.stream.getvalue()
    failure = str(one.failed("Nobody counted:"))
    assert failure.startswith("Nobody counted:\n    | cannot count\n")
    assert str(tmp_path / "log") in failure


def test_a_program_that_is_not_there_is_a_step_that_failed(tmp_path):
    one = steps(tmp_path)
    assert not one.run("trying", [tmp_path / "nothing"])
    assert "No such file" in str(one.failed("It was not there:"))


def test_only_the_last_step_is_quoted(tmp_path):
    one = steps(tmp_path)
    one.run("first", script("print('old news')"))
    one.run("second", script("raise SystemExit('\\n'.join(map(str, range(100))))"))
    quoted = str(one.failed("It went wrong:"))
    assert "old news" not in quoted
    assert "| 99\n" in quoted
    assert "| 50\n" not in quoted


@pytest.mark.parametrize(
    ("said", "reason", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", reasons.FULL, "The disk is full"),
        (
            "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
            reasons.FORGED,
            "not the one",
        ),
        ("error: Hash mismatch for `anyio==4`", reasons.FORGED, "not the one"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            reasons.DISTRUSTED,
            "global.cert",
        ),
        ("invalid peer certificate: UnknownIssuer", reasons.DISTRUSTED, "global.cert"),
        ("Temporary failure in name resolution", reasons.OFFLINE, "HTTPS_PROXY"),
        ("dns error: failed to lookup address information", reasons.OFFLINE, "HTTPS_PROXY"),
        ("[Errno 111] Connection refused", reasons.OFFLINE, "HTTPS_PROXY"),
        ("ReadTimeoutError: Read timed out.", reasons.OFFLINE, "HTTPS_PROXY"),
        (
            "ERROR: No matching distribution found for uv==0.13.8",
            reasons.UNKNOWN,
            "no such package",
        ),
        ("E: Unable to locate package python3-venv", reasons.UNKNOWN, "no such package"),
        ("[Errno 13] Permission denied: '/x'", reasons.FORBIDDEN, "TOKENWARD_VENV"),
        ("something that nobody has seen before", reasons.OTHER, "start again"),
    ],
)
def test_a_failure_says_what_to_do_next(tmp_path, said, reason, advice):
    one = steps(tmp_path)
    one.run("trying", script(f"raise SystemExit({said!r})"))
    failure = one.failed("It went wrong:")
    assert isinstance(failure, Failure)
    assert advice in str(failure)
    assert one.because(reason)
    assert not one.because(*{*reasons.REASONS, reasons.OTHER} - {reason})
