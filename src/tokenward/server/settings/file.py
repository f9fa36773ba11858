"""The settings in a file: TOML, with ``${NAME}`` for what should not be in a file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tokenward.server.config import ConfigError, Problem, Report
from tokenward.server.environment import Environment
from tokenward.server.settings.itm import named as itm_named
from tokenward.server.settings.lines import TomlPlaces, lines_of
from tokenward.server.settings.listen import port_number
from tokenward.server.settings.whole import Settings, read
from tokenward.server.values import REPORTED, At, Filled, Wrong

# As tomllib writes it: "… (at line 3, column 9)" or "… (at end of document)".
_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read this file, and the files of variables beside it; raises ``ConfigError``."""
    environment = Environment.open(path.parent, environ)
    source = _source(path)
    document = _parsed(source, path.name)
    report = Report(places=TomlPlaces(path.name, lines_of(source)))
    filled = {
        name: _filled(value, (name,), report, environment) for name, value in document.items()
    }
    if "store" not in filled and (url := environment.find("DATABASE_URL")):
        report.hidden[url] = "${DATABASE_URL}"
        filled["store"] = Filled(url)
    changed = _port(environment, report)
    settings = read(filled, report)
    warnings = environment.warnings + settings.warnings
    if ignored := itm_named(environment):
        warnings += (
            Problem(
                place=ignored[0],
                message=f"is ignored, like all ITM_ variables, because there is {path.name}",
            ),
        )
    if changed is not None:
        settings = replace(settings, listen=replace(settings.listen, port=changed))
    return replace(settings, warnings=warnings)


def _source(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as exc:
        message = f"cannot be read: {exc.strerror}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text"
    raise ConfigError([Problem(place=str(path), message=message)])


DEEPEST = 16


def _parsed(source: str, name: str) -> dict[str, object]:
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as exc:
        match = _WHERE.fullmatch(str(exc))
        message, line, column = match.groups() if match else (str(exc), None, None)
        end = "" if line else " (at the end of the file)"
        problem = Problem(
            place=f"{name}:{line}:{column}" if line else f"{name}:{source.count(chr(10)) + 1}",
            message=f"is not TOML: {message[:1].lower()}{message[1:]}{end}",
            hint='text is in quotes: name = "value"' if message == "Invalid value" else "",
        )
    except RecursionError:
        problem = Problem(place=name, message="is nested too deeply")
    except ValueError:  # Python reads no number of more than some thousand digits
        problem = Problem(place=name, message="has a number that is too long")
    raise ConfigError([problem])


def _filled(value: object, at: At, report: Report, environment: Environment) -> object:
    """The value with its variables; ``REPORTED`` where one is missing."""
    if len(at) > DEEPEST:
        report.error(at[:2], "is nested too deeply")
        return REPORTED
    if isinstance(value, dict):
        return {
            key: _filled(inner, (*at, key), report, environment) for key, inner in value.items()
        }
    if isinstance(value, list):
        items = [
            _filled(inner, (*at, position), report, environment)
            for position, inner in enumerate(value)
        ]
        return REPORTED if REPORTED in items else items
    if not isinstance(value, str):
        return value
    used: dict[str, str] = {}
    try:
        filled = environment.fill(value, used)
    except Wrong as exc:
        report.error(at, str(exc), exc.hint)
        return REPORTED
    report.hidden.update(used)
    return Filled(filled) if used else filled


def _port(environment: Environment, report: Report) -> int | None:
    """What ``PORT`` says, which platforms set for whatever they run."""
    try:
        written = environment.find("PORT")
        return port_number(written) if written else None
    except Wrong as exc:
        report.add(Problem(place="PORT", message=str(exc)))
        return None
