"""The routes of an application's server, as Textile's documentation has its readers write it.

    messages     what is said on a WebSocket
    talk         one client on a WebSocket, from its first message to the last
    door         where such a WebSocket begins
    routes       the same over HTTP, for who has no WebSocket
    giving       the way from there to the spine

Law of this package: whoever asks is a caller like any other, known by a key, a token or the name of
a client, and the rules say what they may have. No private key is ever kept, and none is repeated.
"""
