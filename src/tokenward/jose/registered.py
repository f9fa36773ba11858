"""Keys of ours that somebody else has registered: they know them by names of their own choice."""

from tokenward.jose import algorithms
from tokenward.jose.keys import NO_MARKS, SigningKey, UnusableKey, VerifyingKey

__all__ = ["SigningKey", "registered_key"]


def registered_key(
    pem: str, *, algorithm: str = "", kid: str = "", certificate: str = ""
) -> SigningKey:
    """Read a private key in PEM, which headers call by what it is registered as and nothing else.

    That is a `kid`, or the thumbprints of a `certificate` in PEM (RFC 7515 §4.1.4, §4.1.7), or
    neither: then they have one key of ours.  Without `algorithm` it is for its curve's algorithm
    or RS256.  Raises ValueError, also if the certificate is another key's.
    """
    private = algorithms.private_key(pem)
    algorithm = algorithm or algorithms.algorithm_of(private.public_key())
    marks = NO_MARKS
    if certificate:
        # Certificates double the time that importing cryptography takes.
        from tokenward.jose import certificates  # noqa: PLC0415

        try:
            marks = certificates.thumbprints(certificate.encode())
        except ValueError:
            raise UnusableKey("not a certificate in PEM") from None
        public = VerifyingKey.from_pem(certificate, algorithm)
        ours = VerifyingKey(kid=None, algorithm=algorithm, public=private.public_key())
        if public.thumbprint != ours.thumbprint:
            raise UnusableKey("the certificate is another key's")
    return SigningKey(kid=kid, algorithm=algorithm, private=private, marks=marks)
