"""`python -m worker` runs a worker until SIGTERM. With `--healthy` it exits with 0 if a worker of this host runs."""

import argparse
import logging
import sys
import warnings
from functools import partial

import uvloop

from contract.keys import KeySpace
from contract.log_redaction import configure_logging
from contract.partitions import PartitionsDisagreeError, check_partitions
from contract.processes import Processes
from contract.settings import MalformedSettingError, read_settings
from contract.socks_proxy import SocksUnavailableError
from worker.app import host_prefix, run_worker
from worker.health import is_announced
from worker.providers.plug_in import load_source
from worker.providers.source import SourceNotFoundError
from worker.scripts.loader import ScriptsUnusableError, load_scripts
from worker.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="worker", description="Runs completions and publishes their chunks.")
    parser.add_argument("--healthy", action="store_true", help="exit 0 if a worker of this host is registered in Redis")
    parser.add_argument("--check-scripts", action="store_true", help="exit 0 if MANYCAST_SCRIPTS can be used")
    options = parser.parse_args()
    try:
        settings = read_settings(Settings)
        if options.healthy:
            is_healthy = uvloop.run(is_announced(settings.redis_url, KeySpace(settings.prefix), host_prefix()))
            sys.exit(0 if is_healthy else 1)
        if options.check_scripts:
            load_scripts(settings.scripts)
            return
        configure_logging(settings.log_level)
        # A script that forgets an `await` does nothing in its place, and only a warning of Python says so.
        warnings.formatwarning = _format_warning
        logging.captureWarnings(capture=True)
        # httpx2 logs every request. The log line of each run is enough.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        run = partial(run_worker, settings, load_source(settings), load_scripts(settings.scripts))
        check_partitions(settings.redis_url, KeySpace(settings.prefix, settings.partitions))
        if settings.worker_processes == 1:
            uvloop.run(run())
        else:
            Processes(settings.worker_processes, lambda lifeline: uvloop.run(run(lifeline))).run()
    except (
        MalformedSettingError,
        SourceNotFoundError,
        ScriptsUnusableError,
        SocksUnavailableError,
        PartitionsDisagreeError,
    ) as error:
        sys.exit(f"worker: {error}")


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 -- the name is Python's
) -> str:
    # One line, as all that we log. Its end would quote the line of code.
    return f"{filename}, line {lineno}: {category.__name__}: {str(message).partition(chr(10))[0]}"


if __name__ == "__main__":
    main()
