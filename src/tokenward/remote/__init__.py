"""Other people's servers: asking them without believing them.

Law of this package: jose, oauth and httpx2 (with its own httpcore2); whatever comes back is
bounded in size and time, redirects are not followed, and no text of theirs is ever passed on.

* ``fetch``      carries a flow: one deadline for the whole conversation, one error for all faults
* ``clients``    how we connect: certificates, timeouts, pools
* ``deadline``   what is left of it, for threads, whose sockets (``threads``) keep it
* ``discovery``  where an issuer's endpoints are
* ``keysets``    an issuer's public keys, known and kept fresh
* ``hub``        what speaks no HTTP: Textile Hubs, with a library of their own for each way there
"""
