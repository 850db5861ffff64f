"""`python -m simulator`: reads the settings and serves. If it cannot, it prints one line and exits with 1."""

import sys
from contextlib import nullcontext

from simulator.app import create_app
from simulator.bill import Bill
from simulator.pace import Pace
from simulator.server import listen, serve
from simulator.settings import read_settings


def main() -> None:
    try:
        settings = read_settings()
        listener = listen(settings.host, settings.port)
        # Unbuffered, so that a line outlives the process.
        file = settings.bill_file.open("ab", buffering=0) if settings.bill_file else nullcontext()
    except (ValueError, OSError) as error:
        sys.exit(f"simulator: {error}")
    pace = Pace(settings.first_chunk_ms, settings.chunks_per_s, settings.jitter)
    with listener, file as bill_file:
        serve(create_app(pace, Bill(bill_file)), listener)


if __name__ == "__main__":
    main()
