"""Threads for functions of authors, which may block for ever."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_thread(function: Callable[..., T], **arguments: Any) -> T:
    """Calls a function in a new thread, and returns or raises what it does.

    asyncio.to_thread has few threads: some calls that hang would keep all later ones waiting, and the process from
    ending.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()
    context = copy_context()

    def settle(settling: Callable[[Any], None], outcome: object) -> None:
        # Nobody waits for the result of a cancelled call.
        if not result.done():
            settling(outcome)

    def work() -> None:
        settling: Callable[[Any], None] = result.set_result
        outcome: object
        try:
            outcome = context.run(function, **arguments)
        except StopIteration as error:
            # A future cannot raise it.
            settling, outcome = result.set_exception, RuntimeError(f"{function.__name__} raised StopIteration: {error}")
        except BaseException as error:
            settling, outcome = result.set_exception, error
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, settling, outcome)

    threading.Thread(target=work, name=f"tool {function.__name__}", daemon=True).start()
    return await result
