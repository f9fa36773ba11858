"""Asking a Textile Hub for a token: a key, its challenge, a signature, its token.

    messages     what the two say, as protobuf
    exchange     one conversation, whoever carries it
    websocket    carried by a WebSocket (gRPC-web), as Textile's own JavaScript clients do
    native       carried by gRPC itself
    carrier      the conversation as one request, for flows

Law of this package: like its parent's. A signature is made over what a Hub sends, whatever it is,
so the key that signs is for a Hub alone; and no more than that comes from it but a token. What
carries a conversation is imported when somebody has one.
"""
