"""The files in ``deploy``: read as text, for nobody here has systemd, a registry or a cluster.

What they say about us is compared with what we are: options, paths, ports and settings.
"""

import re
import shlex

import pytest
import yaml

from tests.docs import ROOT
from tokenward.server.doors import HEALTH, LIVE, READY
from tokenward.server.settings import load

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "tokenward.service"
IMAGE = DEPLOY / "docker" / "Dockerfile"
COMPOSE = DEPLOY / "docker" / "compose.yml"
CHART = DEPLOY / "helm" / "tokenward"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
KEY = "A" * 43


def unit():
    """The unit as pairs of section and directive, and what stands there, line by line."""
    found, section = {}, ""
    for line in UNIT.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault((section, name), []).append(value)
    return found


def serve_options():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    section = page.partition("<!-- command: serve -->")[2].partition("<!-- end -->")[0]
    return set(re.findall(r"--[a-z][a-z-]+", section))


def used_options(words):
    assert "serve" in words
    return {word for word in words if word.startswith("--")}


def image():
    """The last stage of the image: one instruction and its words a line."""
    text = IMAGE.read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [at for at, line in enumerate(lines) if line.startswith("FROM ")]
    return [line.split(maxsplit=1) for line in lines[starts[-1] :]], lines


def rendered(name):
    """A template of the chart as YAML: what stands in double braces becomes a word."""
    text = (CHART / "templates" / name).read_text("utf-8")
    text = re.sub(r"^\s*\{\{-? (if|end|with|range|else)\b.*?\}\}\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{\{- (include|toYaml) .*? \}\}", "{x: y}", text)
    text = re.sub(r"^\{\{ .* \}\}$", "    word", text, flags=re.MULTILINE)  # in a block of text
    return yaml.safe_load(re.sub(r"\{\{.*?\}\}", "word", text))


def settings_in(text, tmp_path):
    """The settings that a file shows as an example must be such that the server would start."""
    file = tmp_path / "tokenward.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"POSTGRES_PASSWORD": "x", "ITWIN_CLIENT_SECRET": "y"})


def commented(path):
    """The configuration in the comments at the top of a file."""
    text = path.read_text("utf-8").partition("# In tokenward.toml:\n")[2]
    lines = re.match(r"(?:#   .*\n)+", text)
    assert lines, path
    return re.sub(r"^#   ", "", lines[0], flags=re.MULTILINE)


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────


def test_the_unit_starts_a_command_that_there_is():
    [start] = unit()["Service", "ExecStart"]
    assert used_options(shlex.split(start)) <= serve_options()


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("ProtectProc", "invisible"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectClock", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateUsers", "yes"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        ("LimitCORE", "0"),
        ("UMask", "0077"),
        ("StateDirectoryMode", "0700"),
        ("Type", "notify"),
        ("RestartPreventExitStatus", "78"),
    ],
)
def test_the_unit_may_do_no_more_than_it_needs(directive, value):
    assert unit()["Service", directive] == [value]


def test_the_unit_filters_system_calls():
    assert unit()["Service", "SystemCallFilter"] == ["@system-service", "~@privileged @resources"]


def test_the_unit_gives_secrets_as_files_and_never_as_variables():
    for variable in unit()["Service", "Environment"]:
        name, _, value = variable.partition("=")
        assert name.endswith("_FILE")
        assert value.startswith("%d/")


def test_the_configuration_that_the_unit_describes_makes_sense(tmp_path):
    settings = settings_in(commented(UNIT), tmp_path)
    [state], [logs] = unit()["Service", "StateDirectory"], unit()["Service", "LogsDirectory"]
    assert f"/var/lib/{state}/" in settings.store
    assert settings.audit.to.startswith(f"/var/log/{logs}/")


# ── the image ────────────────────────────────────────────────────────────────────────────────────


def test_the_image_runs_as_nobody_in_particular():
    last, _ = image()
    users = [words for instruction, words in last if instruction == "USER"]
    assert users == ["10001:10001"]
    assert [name for name, _ in last].index("USER") < [name for name, _ in last].index("ENTRYPOINT")


def test_the_image_is_made_of_packages_whose_hashes_are_written_down():
    _, lines = image()
    [install] = [line for line in lines if "-r requirements" in line]
    lock = re.search(r"-r (\S+)", install)[1]
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    pinned = (ROOT / lock).read_text("utf-8")
    for package in ("psycopg-binary", "redis", "uvicorn", "cryptography", "opentelemetry-sdk"):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package


def test_the_image_contains_what_it_copies_and_no_secret():
    _, lines = image()
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[1] == "*"
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored
    assert not [line for line in lines if re.search(r"(?i)secret|password|\.env|\.key", line)]


def test_the_image_starts_and_asks_for_what_there_is():
    last, _ = image()
    [command] = [words for instruction, words in last if instruction == "CMD"]
    assert used_options(yaml.safe_load(command)) <= serve_options()
    [asked] = [words for instruction, words in last if instruction == "HEALTHCHECK"]
    assert re.search(r"http://127\.0\.0\.1:8080(/\w+)'", asked)[1] == LIVE


# ── compose ──────────────────────────────────────────────────────────────────────────────────────


def test_the_composition_starts_a_command_that_there_is():
    service = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["tokenward"]
    assert used_options(service["command"]) <= serve_options()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:8080:8080"]


def test_the_composition_has_no_secret_in_it():
    whole = yaml.safe_load(COMPOSE.read_text("utf-8"))
    for service in whole["services"].values():
        for name in service.get("environment", {}):
            assert name.endswith("_FILE") or "PASSWORD" not in name
        assert set(service.get("secrets", [])) <= set(whole["secrets"])


def test_the_configuration_that_the_composition_describes_makes_sense(tmp_path):
    settings = settings_in(commented(COMPOSE), tmp_path)
    services = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    assert settings.store == "postgresql://tokenward:x@postgres/tokenward"
    assert settings.cache == "redis://redis"
    assert {"postgres", "redis"} <= set(services)


# ── the chart ────────────────────────────────────────────────────────────────────────────────────


def values():
    return yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(path.name for path in (CHART / "templates").glob("*.yaml")))
def test_every_template_is_yaml_and_asks_for_values_that_there_are(name):
    made = rendered(name)
    assert made["apiVersion"]
    assert made["kind"]
    text = (CHART / "templates" / name).read_text("utf-8")
    for path in re.findall(r"\.Values\.([A-Za-z.]+)", text):
        found = values()
        for part in path.split("."):
            assert part in found, f"{name} asks for {path}"
            found = found[part]
    for helper in re.findall(r'include "([^"]+)"', text):
        defined = (CHART / "templates" / "_names.tpl").read_text("utf-8")
        assert f'define "{helper}"' in defined


def test_the_pods_may_do_no_more_than_they_need():
    pod = rendered("deployment.yaml")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_pods_are_asked_at_paths_that_there_are():
    [container] = rendered("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == READY
    assert container["livenessProbe"]["httpGet"]["path"] == LIVE
    assert HEALTH
    assert used_options(container["args"]) <= serve_options()


def test_the_pods_leave_time_to_drain():
    pod = rendered("deployment.yaml")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 5 + 10 + 5


def test_the_configuration_of_the_chart_makes_sense(tmp_path):
    settings = settings_in(values()["config"], tmp_path)
    assert settings.listen.host == "0.0.0.0"
    assert settings.store.startswith("postgresql://")


def test_what_the_chart_is_of_is_us():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    source = (ROOT / "src" / "tokenward" / "__init__.py").read_text("utf-8")
    assert f'"{chart["appVersion"]}"' in source


# ── all of them ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_no_file_holds_a_secret_or_a_machine_of_ours(path):
    text = path.read_text("utf-8")
    assert not re.search(r"-----BEGIN|sha256:[0-9a-f]{64}|eyJ[\w-]{10,}", text)
    for name, value in re.findall(
        r"(?i)(password|secret|token)\s*[=:]\s*['\"]?([^\s'\"{}$]+)", text
    ):
        assert not re.fullmatch(r"(?=.*\d)[0-9A-Za-z+/_-]{16,}", value), f"{name} = {value}"


def test_every_file_is_named_in_the_page_about_them():
    page = (DEPLOY / "README.md").read_text("utf-8")
    linked = [DEPLOY / link for link in re.findall(r"\]\(([^)]+)\)", page)]
    assert [link for link in linked if not link.exists()] == []
    for path in FILES:
        assert any(path == link or link in path.parents for link in linked) or (
            path.name == "README.md"
        ), path
