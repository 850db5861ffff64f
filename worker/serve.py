"""Starts the worker processes, after everything that could be wrong with the settings was looked at."""

import logging
import sys
import warnings
from functools import partial

import uvloop

from contract.keys import KeySpace
from contract.log_redaction import configure_logging
from contract.partitions import PartitionsDisagreeError, check_partitions
from contract.processes import Processes
from contract.settings import MalformedSettingError
from contract.socks_proxy import SocksUnavailableError
from worker.app import run_worker
from worker.providers.plug_in import load_source
from worker.providers.source import SourceNotFoundError
from worker.scripts.loader import ScriptsUnusableError, load_scripts
from worker.settings import Settings


def check_scripts(settings: Settings) -> None:
    """Exits with a message if MANYCAST_SCRIPTS cannot be used."""
    try:
        load_scripts(settings.scripts)
    except ScriptsUnusableError as error:
        sys.exit(f"worker: {error}")


def serve(settings: Settings) -> None:
    """Runs until SIGTERM. Exits with a message if something in the settings cannot be used."""
    try:
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
