"""The command: `python -m manycast`, and `manycast` where it is installed. The only module that imports typer.

Reads the settings once and passes them to the verbs. Turns each expected error into one line.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from contract.keys import KeySpace
from contract.printable import one_line
from contract.settings import MalformedSettingError, SettingsT, read_settings
from gateway.access.api_keys import DEFAULT_REQUESTS_PER_MINUTE, DEFAULT_RUNS_AT_ONCE, make_key
from manycast.capacity.estimate import GIGABYTE, Demand
from manycast.chaos.command import print_schedule, run_and_report
from manycast.chaos.environment import StartupError
from manycast.chaos.run import ChaosOptions
from manycast.chaos.schedule import TopologyName
from manycast.client import Client
from manycast.client.address import MalformedAddressError, parse_address, with_scheme
from manycast.client.errors import ManycastError, RefusedError, UnreachableError
from manycast.command.ask import ask, watch
from manycast.command.doctor import (
    Finding,
    examine,
    look_at_broker,
    look_at_gateway,
    look_at_provider,
    look_at_providers,
    look_at_python,
)
from manycast.command.key_file import KeyFileError, add_key
from manycast.command.own_key import OwnKeyError, find_key
from manycast.command.size import describe_size
from manycast.command.terminal import STATUS_LIMIT_CHARS, Terminal
from manycast.exit_status import Exit
from manycast.local_stack.broker import BrokerError
from manycast.local_stack.plan import Plan
from manycast.local_stack.port import PortError
from manycast.local_stack.screen import Screen
from manycast.local_stack.stack import NotReadyError, run_stack
from manycast.local_stack.supervisor import RestartLimitError
from manycast.own_name import own_name
from manycast.settings import ClientSettings, Settings
from worker.providers.provider_table import ProviderTableError, load_providers

app = typer.Typer(
    help="Manycast streams the answer of a language model to everyone who has its link.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


COMMAND = own_name(sys.orig_argv, shutil.which("manycast"))

keys = typer.Typer(no_args_is_help=True, help="Create API keys.")
app.add_typer(keys, name="key")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"manycast {version('manycast')}")
    except PackageNotFoundError:
        _fail("the version is unknown, because Manycast runs from a folder where it is not installed")
    raise typer.Exit


@app.callback()
def _take_common_options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """The help text of the command is in `app`, not here."""


@app.command()
def up(
    *,
    host: Annotated[
        str | None,
        typer.Option(
            help="The address to listen on; 0.0.0.0 admits other devices. [default: 127.0.0.1]", metavar="ADDRESS"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port to listen on; 0 takes a free one. [default: 8000]", min=0, max=65535, metavar="NUMBER"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The directory that keeps the answers. [default: .manycast]", metavar="DIRECTORY"),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start the worker again when a Python file in MANYCAST_SCRIPTS changes.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the complete logs of all parts.")] = False,
    started_with: Annotated[str | None, typer.Option(hidden=True, help="What advice on the port begins with.")] = None,
) -> None:
    """Run Manycast on this computer.

    The built-in demo answers, unless you name a provider with OPENAI_API_KEY, OPENAI_BASE_URL or MANYCAST_PROVIDERS.
    """
    settings = _read_settings(Settings)
    if settings.providers is not None:
        _check_providers(settings.providers)
    scripts = Path(settings.scripts).expanduser() if settings.scripts else None
    if reload and (scripts is None or not scripts.is_dir()):
        given = f"; {settings.scripts} is not a folder" if settings.scripts else ""
        _fail(f"--reload needs a folder with scripts: MANYCAST_SCRIPTS=FOLDER{given}")
    plan = Plan(
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        redis_url=settings.redis_url,
        keys=KeySpace(settings.prefix),
        data=(data or settings.data).absolute(),
        environ=dict(os.environ),
        command=COMMAND,
        started_with=started_with or f"{COMMAND} up --port ",
        reload=scripts if reload else None,
    )
    _run(run_stack(plan, Screen(sys.stdout, sys.stderr, verbose)))


def _check_providers(path: Path) -> None:
    """Checks the table before the stack starts: a worker that cannot read it would be restarted again and again."""
    try:
        load_providers(path, os.environ)
    except ProviderTableError as error:
        _fail(f"MANYCAST_PROVIDERS: {error}")


Server = Annotated[
    str | None,
    typer.Option(help="The address of the server. [default: MANYCAST_SERVER, or http://127.0.0.1:8000]", metavar="URL"),
]

KeyFile = Annotated[
    Path | None,
    typer.Option(help="The file that contains your API key. [default: the key in MANYCAST_API_KEY]", metavar="FILE"),
]


@app.command("ask")
def ask_verb(
    *,
    question: Annotated[
        list[str],
        typer.Argument(
            help="The question, with or without quotes; - reads it from standard input.", metavar="QUESTION"
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The model to ask. [default: the server's choice]", metavar="NAME"),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", help="The system prompt, which says how to answer.", metavar="TEXT")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Let only people with the private link watch the answer.")
    ] = False,
    server: Server = None,
    key_file: KeyFile = None,
) -> None:
    """Ask a question, and print the answer as it arrives.

    The link to watch the answer goes to standard error. Write -- before a question that contains a word with a hyphen
    in front.
    """
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if question == ["-"] else _decodable(" ".join(question))
    if not text.strip():
        _fail("the question is empty")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if system:
        body["messages"].insert(0, {"role": "system", "content": _decodable(system)})
    if model is not None:
        body["model"] = model
    url, key = _find_server(server, key_file)
    terminal = _open_terminal()

    async def verb() -> Exit:
        async with Client(url, api_key=key) as client:
            return await ask(client, body, terminal, sys.stdin, command=COMMAND, private=private)

    _run(verb())


@app.command("run")
def run_verb(
    *,
    name: Annotated[str, typer.Argument(help="The script's name, as in script/NAME.", metavar="NAME")],
    text: Annotated[
        list[str] | None, typer.Argument(help="What to say to it, with or without quotes.", metavar="TEXT")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Let only people with the private link watch the run.")
    ] = False,
    server: Server = None,
    key_file: KeyFile = None,
) -> None:
    """Run a script, and answer what it asks.

    The answer goes to standard output; the steps, the questions and the link go to standard error.
    """
    said = _decodable(" ".join(text or ()))
    model = f"script/{_decodable(name).removeprefix('script/')}"
    url, key = _find_server(server, key_file)
    terminal = _open_terminal()

    async def verb() -> Exit:
        async with Client(url, api_key=key) as client:
            body = {"model": model, "messages": [{"role": "user", "content": said}]}
            return await ask(client, body, terminal, sys.stdin, command=COMMAND, private=private)

    _run(verb())


# An id may begin with a hyphen and must not be taken for an option.
@app.command("watch", context_settings={"ignore_unknown_options": True})
def watch_verb(
    stream: Annotated[str, typer.Argument(help="The id of the answer, or its link.", metavar="ID|LINK")],
    server: Server = None,
    key_file: KeyFile = None,
) -> None:
    """Follow an answer from its start to its end, whoever asked for it."""
    url, key = _find_server(server, key_file)
    terminal = _open_terminal()

    async def verb() -> Exit:
        address = parse_address(stream, url)
        # A link may lead to any server: send the key only to the configured one.
        own = key if address.base_url == url else None
        async with Client(address.base_url, api_key=own) as client:
            return await watch(client, address.stream_id, terminal, ticket=address.ticket)

    _run(verb())


@app.command()
def doctor(server: Server = None, key_file: KeyFile = None) -> None:
    """Find out what is missing, and how to fix it."""
    settings = _read_settings(Settings)
    url, key = _find_server(server, key_file)
    keys = KeySpace(settings.prefix, settings.partitions)
    is_named = server is not None or "server" in settings.model_fields_set

    async def look_at_source() -> list[Finding]:
        if settings.providers is not None:
            return await look_at_providers(settings.providers, os.environ)
        return await look_at_provider(settings.openai_api_key, settings.openai_base_url)

    async def verb() -> Exit:
        is_well = await examine(
            [
                look_at_python,
                lambda: look_at_broker(settings.redis_url, COMMAND, keys),
                look_at_source,
                lambda: look_at_gateway(url, key, command=COMMAND, is_named=is_named),
            ],
            typer.echo,
        )
        return Exit.COMPLETED if is_well else Exit.NOT_COMPLETED

    _run(verb())


@app.command("chaos")
def chaos_verb(
    seed: Annotated[
        int, typer.Option(help="The number that determines the faults and their times.", metavar="NUMBER")
    ] = 1,
    minutes: Annotated[
        float,
        typer.Option(help="The time during which faults happen, in minutes.", min=0.1, max=1440, metavar="NUMBER"),
    ] = 1.0,
    topology: Annotated[
        TopologyName, typer.Option(help="What Manycast runs on; each has faults of its own.")
    ] = TopologyName.ONE,
    schedule: Annotated[bool, typer.Option("--schedule", help="Print the faults, but do not cause them.")] = False,
) -> None:
    """Test that viewers lose nothing.

    The test starts Manycast, and kills, freezes and disconnects each of its parts while viewers watch.
    """
    options = ChaosOptions(seed, minutes, topology=topology)
    _run(print_schedule(options) if schedule else run_and_report(options, dict(os.environ), COMMAND))


@app.command("size")
def size(
    *,
    viewers: Annotated[
        float, typer.Option(help="The viewers at the same time, for example 1e6.", min=1, max=1e12, metavar="NUMBER")
    ],
    streams: Annotated[
        float, typer.Option(help="The answers that are written at the same time.", min=1, max=1e12, metavar="NUMBER")
    ],
    chunks_per_s: Annotated[
        float, typer.Option(help="The chunks of an answer in a second.", min=0.1, max=10_000, metavar="NUMBER")
    ] = 40,
    answer_kb: Annotated[
        float, typer.Option(help="The text of an answer, in kilobytes.", min=0.004, max=16_000, metavar="NUMBER")
    ] = 8,
    retention_s: Annotated[
        float, typer.Option(help="How long Redis keeps a finished answer.", min=1, max=1e9, metavar="SECONDS")
    ] = 86_400,
    redis_gb: Annotated[
        float, typer.Option(help="The memory of a Redis node, in gigabytes.", min=0.1, max=100_000, metavar="NUMBER")
    ] = 32,
) -> None:
    """Print what a number of viewers needs.

    That is: processes, cores, memory and Redis nodes, and which of these is the bottleneck.
    """
    demand = Demand(viewers, streams, chunks_per_s, answer_kb * 1000, retention_s, redis_gb * GIGABYTE)
    print(*describe_size(demand), sep="\n")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="The name of the key, of letters, digits and the characters . _ @ -.")],
    *,
    file: Annotated[
        Path | None,
        typer.Option(help="The file to add the key to; MANYCAST_KEYS_FILE names it to the gateway.", metavar="FILE"),
    ] = None,
    requests_per_minute: Annotated[
        int, typer.Option(help="The most requests in a minute; 0 sets no limit.", min=0, metavar="NUMBER")
    ] = DEFAULT_REQUESTS_PER_MINUTE,
    runs_at_once: Annotated[
        int, typer.Option(help="The most answers at the same time; 0 sets no limit.", min=0, metavar="NUMBER")
    ] = DEFAULT_RUNS_AT_ONCE,
    models: Annotated[
        str,
        typer.Option(
            help="The models that the key may use: names or patterns with commas between them. [default: all]",
            metavar="NAMES",
        ),
    ] = "",
    unlimited: Annotated[
        bool, typer.Option("--unlimited", help="Set no limits, whatever the other options say.")
    ] = False,
) -> None:
    """Create an API key.

    The key is printed once. The file gets only its hash.
    """
    wanted = [model for model in models.replace(" ", "").split(",") if model]
    per_minute, at_once = (0, 0) if unlimited else (requests_per_minute, runs_at_once)
    try:
        secret, key = make_key(name, requests_per_minute=per_minute, runs_at_once=at_once, models=wanted)
    except ValueError:
        _fail(f"'{name}' is not a valid key name: use up to 64 letters, digits, and the characters . _ @ -")
    if file is None:
        typer.echo(
            "Give the gateway this line, in MANYCAST_KEYS or in the file that MANYCAST_KEYS_FILE names:", err=True
        )
        typer.echo(key.model_dump_json(), err=True)
    else:
        try:
            add_key(file, key)
        except KeyFileError as error:
            _fail(str(error))
        typer.echo(f"Added '{name}' to {file}. Start the gateway with MANYCAST_KEYS_FILE={file.absolute()}", err=True)
    limits = f"{per_minute or 'any number of'} requests a minute, {at_once or 'any number of'} runs at once"
    typer.echo(f"Its limits: {limits}. To change them, edit the line.", err=True)
    typer.echo("The key. It will not be shown again:", err=True)
    typer.echo(secret)


def _read_settings(kind: type[SettingsT]) -> SettingsT:
    try:
        return read_settings(kind)
    except MalformedSettingError as error:
        _fail(str(error))


def _find_server(server: str | None, key_file: Path | None) -> tuple[str, str | None]:
    """The server to use, with its scheme and without a slash at its end, and the API key for it."""
    settings = _read_settings(ClientSettings)
    try:
        own = settings.api_key.get_secret_value() if settings.api_key else None
        return with_scheme(server or settings.server).rstrip("/"), find_key(own, key_file)
    except OwnKeyError as error:
        _fail(str(error))


def _open_terminal() -> Terminal:
    return Terminal(sys.stdout, sys.stderr, styled=_read_settings(ClientSettings).no_color is None)


def _decodable(argument: str) -> str:
    """An argument from the shell. Replaces bytes that are not UTF-8, which Python turns into lone surrogates."""
    return os.fsencode(argument).decode("utf-8", "replace")


def _run(verb: Coroutine[Any, Any, Exit]) -> NoReturn:
    """Ends the process with the command's exit status, or with one sentence and status 1."""
    try:
        raise typer.Exit(asyncio.run(verb))
    except UnreachableError as error:
        _fail(f"{error}; start it with: {COMMAND} up, or name another server with --server URL")
    except RefusedError as error:
        _fail("; ".join(filter(None, (str(error), error.advice))))
    except (
        ManycastError,
        MalformedAddressError,
        PortError,
        BrokerError,
        RestartLimitError,
        NotReadyError,
        StartupError,
    ) as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of the pipe has gone.
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _fail(sentence: str) -> NoReturn:
    # A server may have written a part of it.
    typer.echo(f"manycast: {one_line(sentence, STATUS_LIMIT_CHARS)}", err=True)
    raise typer.Exit(1)


def discard_unwritable_output() -> None:
    """Points standard output and error to the null device if they are closed: a terminal's window, or a pipe's reader.

    Otherwise Python fails to flush them at exit, reports that, and turns the exit status into 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main() -> None:
    try:
        app()
    finally:
        discard_unwritable_output()


if __name__ == "__main__":
    main()
