"""`python -m simulator`: reads the settings and serves. If it cannot, it prints one line and exits with 1."""

import sys

from simulator.app import create_app
from simulator.pace import Pace
from simulator.server import listen, serve
from simulator.settings import read_settings


def main() -> None:
    try:
        settings = read_settings()
        listener = listen(settings.host, settings.port)
    except (ValueError, OSError) as error:
        sys.exit(f"simulator: {error}")
    pace = Pace(settings.first_chunk_ms, settings.chunks_per_s, settings.jitter)
    with listener:
        serve(create_app(pace), listener)


if __name__ == "__main__":
    main()
