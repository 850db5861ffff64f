"""The tasks that a script starts itself, with `asyncio.create_task`: none of them may end the worker.

asyncio lets SystemExit and KeyboardInterrupt pass through a task into the event loop, which then ends.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from manycast.script.run import is_inside_script


def contain_own_tasks() -> None:
    """From now on, a task of a script on the running loop that raises one of the two fails with a RuntimeError."""
    asyncio.get_running_loop().set_task_factory(_make_task)


def _make_task(
    loop: asyncio.AbstractEventLoop, made: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Task[Any]:
    if is_inside_script() and asyncio.iscoroutine(made):
        made = _Contained(made)
    return asyncio.Task(made, loop=loop, **options)


class _Contained(Coroutine[Any, Any, Any]):
    """Does as `inner` does. It is no coroutine function, because one that is cancelled before it begins would leave
    `inner` behind, never awaited."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner
        self.__name__ = getattr(inner, "__name__", type(inner).__name__)
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def __getattr__(self, name: str) -> Any:
        # `cr_running`, `cr_frame` and others: task groups and debuggers ask a task's coroutine where it is.
        return getattr(self._inner, name)

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def _step(self, go_on: Callable[..., Any], *given: Any) -> Any:
        try:
            return go_on(*given)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"a task of the script has raised {type(error).__name__}") from error
