"""For dev mode: an identity provider, an upstream and an API to practise on.

Law of this package: these are other people's servers. They run in a process of their own, on ports
of their own, and the server may not import them. They are real (real HTTP, real signatures), they
listen on loopback only, and nobody should ever put them anywhere else.

To add one, write a file with a function that returns an ASGI application and start it in
``__main__``.
"""
