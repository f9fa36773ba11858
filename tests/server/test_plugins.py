"""Names of plug-ins: ours, other people's, and those there are not."""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import pytest

from tokenward.server import plugins
from tokenward.server.config import settings_of
from tokenward.server.values import Wrong


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in plugins.BUILT_IN.items() for name in names]
)
def test_every_name_of_ours_is_a_class_of_its_kind_whose_settings_can_be_read(kind, name):
    found = plugins.find(kind, name)
    assert found.__module__ == f"tokenward.server.{kind}s.{name}"
    if kind != plugins.GRANT:  # what a grant type is made with, the app knows
        settings_of(found)


@pytest.fixture
def foreign(monkeypatch):
    """A module of somebody else's."""
    module = ModuleType("acme_plugins")

    @dataclass(frozen=True, kw_only=True)
    class Carrier:
        """An upstream."""

        color: str = "red"
        methods: ClassVar[frozenset[str]] = frozenset()

        def flow(self): ...

        def shared_by(self): ...

    module.Carrier, module.NOT_A_CLASS = Carrier, 3
    monkeypatch.setitem(sys.modules, "acme_plugins", module)
    return Carrier


def test_somebody_elses_class_is_named_with_its_module(foreign):
    assert plugins.find(plugins.UPSTREAM, "acme_plugins:Carrier") is foreign


@pytest.mark.parametrize(
    ("kind", "name", "message", "hint"),
    [
        ("proof", "jwtt", "there is no such proof", 'did you mean "jwt"?'),
        ("proof", "", "there is no such proof", "client_secret, client_secret_jwt"),
        ("upstream", "clientcredentials", "no such upstream", 'mean "client_credentials"?'),
        ("profile", "oktaa", "there is no such profile", 'did you mean "okta"?'),
        ("profile", "hubb", "there is no such profile", 'did you mean "hub"?'),
        ("upstream", "refreshtoken", "no such upstream", 'mean "refresh_token"?'),
        ("grant", "refresh_token", "comes with a later version", "token_exchange"),
        ("upstream", "acme_nowhere:Thing", "cannot be imported: No module named", ""),
        ("upstream", "acme_plugins:Nothing", "has no class Nothing", ""),
        ("upstream", "acme_plugins:NOT_A_CLASS", "has no class NOT_A_CLASS", ""),
        ("profile", "acme_plugins:Carrier", "acme_plugins:Carrier is no profile", ""),
        (
            "proof",
            "acme_plugins:Carrier",
            "has methods and within and authenticate, or trusted",
            "",
        ),
        ("upstream", "..:Thing", "there is no such upstream", ""),
        ("upstream", "a b:Thing", "there is no such upstream", ""),
        ("upstream", "os:path:join", "there is no such upstream", ""),
    ],
)
@pytest.mark.usefixtures("foreign")
def test_a_name_that_is_none_is_refused(kind, name, message, hint):
    with pytest.raises(Wrong) as caught:
        plugins.find(kind, name)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_what_is_to_come_is_not_here_already():
    for kind, names in plugins.LATER.items():
        assert not names & plugins.BUILT_IN[kind].keys()
