"""The command: `python -m manycast`, and `manycast` where it is installed. The only module that imports typer.

Reads the settings once and passes them to the verbs. Turns each expected error into one line.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from contract.settings import MalformedSettingError, SettingsT, read_settings
from gateway.access.api_keys import make_key
from manycast.chaos.command import print_schedule, run_and_report
from manycast.chaos.environment import StartupError
from manycast.chaos.run import ChaosOptions
from manycast.client import Client
from manycast.client.address import MalformedAddressError, parse_address
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
from manycast.command.terminal import Terminal
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
    help="One completion, many viewers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


COMMAND = own_name(sys.orig_argv, shutil.which("manycast"))

keys = typer.Typer(no_args_is_help=True, help="Create API keys.")
app.add_typer(keys, name="key")


@app.callback()
def _name_verbs() -> None:
    """A callback makes typer treat every function as a subcommand."""


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="The address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 0 takes a free one. [default: 8000]", min=0, max=65535)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The directory for the answers. [default: .manycast]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the complete logs of all parts.")] = False,
    started_with: Annotated[str | None, typer.Option(hidden=True, help="What advice on the port begins with.")] = None,
) -> None:
    """Run Manycast on this machine. A simulator answers, unless a provider is set: OPENAI_API_KEY, OPENAI_BASE_URL or
    MANYCAST_PROVIDERS."""
    settings = _read_settings(Settings)
    if settings.providers is not None:
        _check_providers(settings.providers)
    plan = Plan(
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        redis_url=settings.redis_url,
        data=(data or settings.data).absolute(),
        environ=dict(os.environ),
        command=COMMAND,
        started_with=started_with or f"{COMMAND} up --port ",
    )
    _run(run_stack(plan, Screen(sys.stdout, sys.stderr, verbose)))


def _check_providers(path: Path) -> None:
    """A worker that cannot read its providers would be started again and again."""
    try:
        load_providers(path, os.environ)
    except ProviderTableError as error:
        _fail(f"MANYCAST_PROVIDERS: {error}")


Server = Annotated[str | None, typer.Option(help="The address of the gateway. [default: http://127.0.0.1:8000]")]

KeyFile = Annotated[Path | None, typer.Option(help="A file with your API key. [default: MANYCAST_API_KEY]")]


@app.command("ask")
def ask_verb(
    prompt: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model. [default: the worker's]")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only people with a ticket can watch.")] = False,
    server: Server = None,
    key_file: KeyFile = None,
) -> None:
    """Ask, and print the answer as it arrives. The link to watch it goes to standard error."""
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if prompt == "-" else _decodable(prompt)
    if not text.strip():
        _fail("the question is empty")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if model is not None:
        body["model"] = model
    url, key = _find_server(server, key_file)

    async def verb() -> Exit:
        async with Client(url, api_key=key) as client:
            return await ask(
                client, body, Terminal(sys.stdout, sys.stderr), sys.stdin, command=COMMAND, private=private
            )

    _run(verb())


# An id may begin with a hyphen and must not be taken for an option.
@app.command("watch", context_settings={"ignore_unknown_options": True})
def watch_verb(
    stream: Annotated[str, typer.Argument(help="A stream's id, or any address of it.", metavar="ID|URL")],
    server: Server = None,
    key_file: KeyFile = None,
) -> None:
    """Follow an answer from its start, whoever asked for it."""
    url, key = _find_server(server, key_file)

    async def verb() -> Exit:
        address = parse_address(stream, url)
        # A link may lead to any server: send the key only to the configured one.
        own = key if address.base_url == url.rstrip("/") else None
        async with Client(address.base_url, api_key=own) as client:
            return await watch(client, address.stream_id, Terminal(sys.stdout, sys.stderr), ticket=address.ticket)

    _run(verb())


@app.command()
def doctor(server: Server = None, key_file: KeyFile = None) -> None:
    """Check that everything Manycast needs is here. Says how to fix each problem."""
    settings = _read_settings(Settings)
    url, key = _find_server(server, key_file)
    is_named = server is not None or "server" in settings.model_fields_set

    async def look_at_source() -> list[Finding]:
        if settings.providers is not None:
            return await look_at_providers(settings.providers, os.environ)
        return await look_at_provider(settings.openai_api_key, settings.openai_base_url)

    async def verb() -> Exit:
        is_well = await examine(
            [
                look_at_python,
                lambda: look_at_broker(settings.redis_url, COMMAND),
                look_at_source,
                lambda: look_at_gateway(url, key, command=COMMAND, is_named=is_named),
            ],
            typer.echo,
        )
        return Exit.COMPLETED if is_well else Exit.NOT_COMPLETED

    _run(verb())


@app.command("chaos")
def chaos_verb(
    seed: Annotated[int, typer.Option(help="The same seed causes the same faults at the same times.")] = 1,
    minutes: Annotated[float, typer.Option(help="How long to cause faults.", min=0.1, max=1440)] = 1.0,
    schedule: Annotated[bool, typer.Option("--schedule", help="Only print the faults.")] = False,
) -> None:
    """Test that viewers lose nothing. Kills, freezes and disconnects every part of a new stack."""
    options = ChaosOptions(seed, minutes)
    _run(print_schedule(options) if schedule else run_and_report(options, dict(os.environ), COMMAND))


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="The key's name: letters, digits and . _ @ -")],
    file: Annotated[
        Path | None, typer.Option(help="The key file to add it to. The gateway reads it from MANYCAST_KEYS_FILE.")
    ] = None,
    requests_per_minute: Annotated[int, typer.Option(help="0: no limit.", min=0)] = 0,
    runs_at_once: Annotated[int, typer.Option(help="0: no limit.", min=0)] = 0,
    models: Annotated[str, typer.Option(help="Names or patterns, separated by commas. [default: all]")] = "",
) -> None:
    """Create an API key. The key is printed once; the file gets only its hash."""
    wanted = [model for model in models.replace(" ", "").split(",") if model]
    try:
        secret, key = make_key(name, requests_per_minute=requests_per_minute, runs_at_once=runs_at_once, models=wanted)
    except ValueError:
        _fail(f"'{name}' is not a valid key name: use up to 64 letters, digits and . _ @ -")
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
    typer.echo("The key. It will not be shown again:", err=True)
    typer.echo(secret)


def _read_settings(kind: type[SettingsT]) -> SettingsT:
    try:
        return read_settings(kind)
    except MalformedSettingError as error:
        _fail(str(error))


def _find_server(server: str | None, key_file: Path | None) -> tuple[str, str | None]:
    """The server to use, and the API key for it."""
    settings = _read_settings(ClientSettings)
    try:
        own = settings.api_key.get_secret_value() if settings.api_key else None
        return server or settings.server, find_key(own, key_file)
    except OwnKeyError as error:
        _fail(str(error))


def _decodable(argument: str) -> str:
    """An argument from the shell. Replaces bytes that are not UTF-8, which Python turns into lone surrogates."""
    return os.fsencode(argument).decode("utf-8", "replace")


def _run(verb: Coroutine[Any, Any, Exit]) -> NoReturn:
    """Ends the process with the command's exit status, or with one sentence and status 1."""
    try:
        raise typer.Exit(asyncio.run(verb))
    except UnreachableError as error:
        _fail(f"{error}; start it with: {COMMAND} up")
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
    typer.echo(f"manycast: {sentence}", err=True)
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
