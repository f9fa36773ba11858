"""HTTP in, HTTP out, and no decisions in between.

An endpoint takes a ``Received`` and gives an ``Answer``. It is bytes to bytes: no transport, no
framework, so that hot paths can be carried by whatever is fastest.

To add one, write a file with a class that keeps this contract and put it into the routing table
in ``server/doors.py``.
"""

from typing import ClassVar, Protocol

from tokenward.server.http import Answer, Received

PUBLIC = "public"
"""Any origin may read the answer: metadata, keys."""

REGISTERED = "registered"
"""Pages of the origins that clients registered may (CORS)."""

NEVER = "never"
"""No page of another origin ever may."""


class Endpoint(Protocol):
    """One path, or several with the same meaning."""

    methods: ClassVar[frozenset[str]]
    """``GET`` includes ``HEAD``; ``OPTIONS`` is answered for everybody."""

    cors: ClassVar[str]

    # One that has ``private = True`` is asked with secrets in the head of the request, which is
    # not kept: it is answered by the usual lane alone.

    async def answer(self, received: Received) -> Answer:
        """Answer; may raise ``OAuthError``, which is then rendered as JSON."""
        ...
