"""Scopes: sets of scope tokens (RFC 6749 §3.3)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from tokenward.oauth.errors import InvalidScope

# RFC 6749 §3.3:
#   scope       = scope-token *( SP scope-token )
#   scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Scope:
    """An immutable set of scope tokens; ``<=`` is "no more than"."""

    tokens: frozenset[str] = frozenset()
    text: str = field(init=False, repr=False, compare=False)
    """As it is written on the wire, in alphabetical order."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", " ".join(sorted(self.tokens)))

    @staticmethod
    def parse(text: str) -> "Scope":
        """Read a space-separated list; raises ``InvalidScope`` for anything else."""
        return _scope(text)

    @staticmethod
    def of(tokens: Iterable[str]) -> "Scope":
        """Make a scope of scope tokens, one string each."""
        return Scope.parse(" ".join(tokens))

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.tokens))

    def __contains__(self, token: object) -> bool:
        return token in self.tokens

    def __le__(self, other: "Scope") -> bool:
        return self.tokens <= other.tokens

    def __or__(self, other: "Scope") -> "Scope":
        return Scope(self.tokens | other.tokens)

    def __and__(self, other: "Scope") -> "Scope":
        return Scope(self.tokens & other.tokens)

    def __sub__(self, other: "Scope") -> "Scope":
        return Scope(self.tokens - other.tokens)


NOTHING = Scope()


@lru_cache(maxsize=512)
def _scope(text: str) -> Scope:
    if len(text) > LONGEST:
        raise InvalidScope(f"scope is longer than {LONGEST} characters")
    tokens = frozenset(text.split(" ")) - {""}
    if not all(map(_SCOPE_TOKEN.fullmatch, tokens)):
        raise InvalidScope("scope contains characters that RFC 6749 does not allow")
    return Scope(tokens)
