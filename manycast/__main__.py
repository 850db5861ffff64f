"""The command: `python -m manycast`, and `manycast` where it is installed. The one door to the command-line library.

Reads the settings once and hands each verb what it needs. What can go wrong for a person becomes one line here.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from manycast.broker import BrokerError
from manycast.keeper import KeptDownError
from manycast.plan import Plan
from manycast.port import PortError
from manycast.screen import Screen
from manycast.settings import Settings
from manycast.stack import NotReadyError, run_stack

app = typer.Typer(
    help="One completion, many viewers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _name_verbs() -> None:
    """Its being here makes `up` a verb to be named, even while it is the only one."""


@app.command()
def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8000,
    data: Annotated[Path | None, typer.Option(help="Where answers are kept. [default: .manycast]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all that the parts log.")] = False,
) -> None:
    """Run everything on this machine: broker, simulator (without OPENAI_API_KEY), worker and gateway."""
    settings = Settings()
    plan = Plan(
        host=host,
        port=port,
        redis_url=settings.redis_url,
        data=(data or settings.manycast_data).absolute(),
        environ=dict(os.environ),
    )
    _run(run_stack(plan, Screen(sys.stdout, sys.stderr, verbose)))


def _run(verb: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(verb)
    except (PortError, BrokerError, KeptDownError, NotReadyError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(sentence: str) -> None:
    typer.echo(f"manycast: {sentence}", err=True)
    raise typer.Exit(1)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
