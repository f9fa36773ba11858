"""Who we are where we run: the identity token that a CI job, a pod or a cloud machine already has.

Law of this package: nobody is asked unless the environment says that we are there; who is asked is
near, or known by https, never behind a proxy or a redirect, and not for long. A token that is meant
for somebody else stays where it is. Nothing secret is in an error or a ``repr``.

A place is a file with a ``Place`` in it: what is looked at, and a function that gives the identity
token, or ``NotHere``, or the conversation that ends in one of them. It raises ``TokenError`` if we
are there and something is wrong: then no other place is tried, because another identity than the
one somebody set up is worse than none.

* ``finding``     the places in their order, and the two drivers that ask them
* ``given``       TOKENWARD_ID_TOKEN, TOKENWARD_ID_TOKEN_FILE: GitLab, SPIFFE, anything
* ``github``      GitHub Actions
* ``kubernetes``  the projected token of a pod
* ``federated``   the files of workload identities of Azure and AWS
* ``google``      the metadata server of Google Cloud
* ``azure``       the managed identity of App Service and of a virtual machine
* ``aws``         GetWebIdentityToken of STS (``aws_keys``: by whose keys, ``sigv4``: signed)
* ``questions``   what may be asked, and what is said of a token by looking at it
* ``auth``        the identity exchanged for a token
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenward.client.errors import TokenError
from tokenward.clock import Clock, now
from tokenward.remote.flow import Flow

LONGEST_FILE = 64 * 1024
"""Bytes of a file that is read for a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What a place may look at: the environment, the files of the system, the time."""

    environ: Mapping[str, str] = field(repr=False)
    root: Path = Path("/")
    clock: Clock = now

    def variable(self, name: str) -> str:
        """A variable without the space around it; ``""`` if it is not set."""
        return self.environ.get(name, "").strip()

    def system(self, path: str) -> str | None:
        """The text of a file whose place everybody knows; ``None`` if there is none."""
        return self.file(str(self.root / path.lstrip("/")))

    def file(self, path: str) -> str | None:
        """The text of a file without the space around it; ``None`` if there is none.

        Raises ``TokenError`` if it cannot be read, or cannot be a token.
        """
        try:
            with Path(path).open("rb") as file:
                text = file.read(LONGEST_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise TokenError(f"{path} cannot be read: {exc.strerror}") from None
        if len(text) > LONGEST_FILE or not text.isascii():
            raise TokenError(f"{path} holds no token")
        return text.decode("ascii").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHere:
    """There is no identity at this place: what was looked at, and what would bring one."""

    why: str
    remedy: str


Found = str | NotHere


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where there may be an identity token."""

    name: str
    identity: Callable[[Here, str], Found | Flow[Found]]
    """Given what is here and the audience that the token must be meant for."""

    variables: tuple[str, ...] = ()
    """Variables by whose values one identity is told from another; of those that end in ``_FILE``,
    it is what the file holds."""

    files: tuple[str, ...] = ()
    """Files whose places everybody knows, for the same purpose."""

    deadline: float = 3.0
    """Seconds for all that is asked there."""
