"""Conversations without I/O: a flow yields requests, is sent responses, and returns its result.

A flow does not care who carries the messages, so the same one serves ``httpx2.Client``,
``httpx2.AsyncClient``, and tests that play the other side with two ``send`` calls.
"""

from collections.abc import Generator
from typing import TypeVar

import httpx2

T = TypeVar("T")

Flow = Generator[httpx2.Request, httpx2.Response, T]
