"""A platform that gives another refresh token with each answer, and watches who shows which.

Whoever shows one whose successor has been shown already is taken for a thief, and the whole family
ends: that is what platforms do (RFC 9700 §4.14.2). The last one that was spent may be shown again,
for an answer may be lost; with ``strict``, not even that.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from secrets import token_hex

from tests.upstream import THEIRS, Handler, Question, Upstream, says


@dataclass
class Family:
    live: str
    before: str = ""
    ended: bool = False
    all: set[str] = field(default_factory=set)


class Platform(Upstream):
    """An upstream of refresh tokens."""

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__()
        self.always = rotates()
        self.strict = strict
        self.families: list[Family] = []
        self.shown: list[str] = []
        """Each refresh token that arrived, in order."""

        self.thefts = 0
        self.overlaps = 0
        """How often one was shown while the same was being answered."""

        self.revoked: list[str] = []
        self._under_way: Counter[str] = Counter()
        self._made = 0
        self._name = token_hex(12)

    def begin(self) -> str:
        """The first refresh token of a family."""
        with self._lock:
            token = self._new()
            self.families.append(Family(live=token, all={token}))
            return token

    def end(self) -> None:
        """Let nobody have anything any more."""
        for family in self.families:
            family.ended = True

    def of(self, token: str) -> Family:
        [found] = [family for family in self.families if token in family.all]
        return found

    def take(self, question: Question):
        if question.path == "/revoke":
            self.revoked.append(question.form["token"])
            return says(200) if not self.answers else self.answers.popleft()
        behaviour = super().take(question)
        if question.path.startswith("/.well-known/"):
            return behaviour
        token = question.form.get("refresh_token", "")
        with self._lock:
            self.shown.append(token)

        def behave(handler: Handler) -> None:
            with self._lock:
                self.overlaps += self._under_way[token] > 0
                self._under_way[token] += 1
            handler.token = token
            try:
                behaviour(handler)
            finally:
                with self._lock:
                    self._under_way[token] -= 1

        return behave

    def rotate(self, token: str) -> str | None:
        """The successor of the one that was shown, if there is to be one."""
        with self._lock:
            found = [family for family in self.families if token in family.all]
            if not found or found[0].ended:
                return None
            family = found[0]
            if token != family.live:
                if self.strict or token != family.before:
                    self.thefts += 1
                    family.ended = True
                    return None
                family.all.discard(family.live)
            new = self._new()
            family.before, family.live = token, new
            family.all.add(new)
            return new

    def _new(self) -> str:
        self._made += 1
        return f"refresh-{self._made}-{self._name}"


def rotates(*, wait: float = 0.0, hold=None, lost: bool = False, keep: bool = False, **changes):
    """Another refresh token and an access token; or no more than the promise of them.

    ``hold``: an event to wait for when all is done. ``lost``: the answer never arrives. ``keep``:
    the refresh token stays as it was. ``changes``: of the answer; ``None`` leaves it out.
    """

    def behave(handler: Handler) -> None:
        platform = handler.server.upstream
        platform.closing.wait(wait)
        new = handler.token if keep else platform.rotate(handler.token)
        if new is None or (keep and platform.of(new).ended):
            body = json.dumps({"error": "invalid_grant", "error_description": THEIRS})
            handler.say(400, body.encode(), Content_Type="application/json")
            return
        if hold is not None:
            while not (hold.wait(0.02) or platform.closing.is_set()):
                pass
        if lost:
            handler.close_connection = True
            handler.connection.close()
            return
        answer = {
            "access_token": platform.next_token(),
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": None if keep else new,
            **changes,
        }
        body = json.dumps({name: it for name, it in answer.items() if it is not None})
        handler.say(200, body.encode(), Content_Type="application/json")

    return behave
