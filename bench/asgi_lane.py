"""tokenward with its fast lane closed: `tokenward serve`, where every request goes through ASGI."""

import sys

import tokenward.server.serve as serving
from tokenward.server.__main__ import main
from tokenward.server.guard import Guard

if __name__ == "__main__":
    vars(serving)["FastLane"] = Guard
    sys.exit(main(sys.argv[1:]))
