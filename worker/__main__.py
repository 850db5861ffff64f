"""`python -m worker` runs a worker until SIGTERM. With `--healthy` it exits with 0 if a worker of this host runs."""

import argparse
import asyncio
import sys

from contract.keys import KeySpace
from contract.settings import MalformedSettingError, read_settings
from worker.health import host_prefix, is_announced
from worker.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="worker", description="Runs completions and publishes their chunks.")
    parser.add_argument("--healthy", action="store_true", help="exit 0 if a worker of this host is registered in Redis")
    parser.add_argument("--check-scripts", action="store_true", help="exit 0 if MANYCAST_SCRIPTS can be used")
    options = parser.parse_args()
    try:
        settings = read_settings(Settings)
    except MalformedSettingError as error:
        sys.exit(f"worker: {error}")
    if options.healthy:
        is_healthy = asyncio.run(is_announced(settings.redis_url, KeySpace(settings.prefix), host_prefix()))
        sys.exit(0 if is_healthy else 1)
    # The health check runs every few seconds, and would spend most of its time on loading what only a worker needs.
    from worker.serve import check_scripts, serve  # noqa: PLC0415

    if options.check_scripts:
        check_scripts(settings)
    else:
        serve(settings)


if __name__ == "__main__":
    main()
