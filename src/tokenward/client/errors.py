"""No token, and why: what a client hears instead of one."""

from typing import Self

from tokenward.remote.fetch import RemoteError


class TokenError(RemoteError):
    """There is no token, and this is why: the one error of this package for what others do.

    ``error`` is the server's code (RFC 6749 §5.2: ``invalid_client``, ``invalid_scope`` …), or
    ``""`` if it said none; ``description`` is its own text, printable ASCII and not long, without
    anything secret that was sent. Both are there for the developer who runs the client. A server
    that asks on behalf of somebody else must not pass on the text, nor ``str()`` of this error,
    which contains it: ``reason`` is in our words.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        transient: bool = False,
        error: str = "",
        description: str = "",
    ) -> None:
        super().__init__(
            reason, status=status, retry_after=retry_after, transient=transient, code=error
        )
        self.error = error
        self.description = description

    @classmethod
    def of(cls, fault: RemoteError, *, description: str = "") -> Self:
        """The same fault, as the error of a client."""
        if isinstance(fault, cls):
            return fault
        return cls(
            fault.reason,
            status=fault.status,
            retry_after=fault.retry_after,
            transient=fault.transient,
            error=fault.code,
            description=description,
        )

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.error, self.description) if part)
        return f"{said} ({self.reason})" if said else self.reason
