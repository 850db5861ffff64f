"""The decorator that makes a script of a function."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Script(Generic[T]):
    """A named function of a `Run`. `place` is its file and line. `replaced` is the script whose function had the same
    name before, in the same module: nobody can run that one any more.

    The function is a coroutine function, or an async generator function whose items the run says.
    """

    def __init__(self, function: Callable[[Any], Awaitable[T] | AsyncIterator[Any]], name: str) -> None:
        """Raises: TypeError for a function that is not a script."""
        if not inspect.iscoroutinefunction(function) and not inspect.isasyncgenfunction(function):
            called = getattr(function, "__name__", repr(function))
            raise TypeError(
                f"a script is an `async def` function, and {called} is not: write `async def {called}(run)`"
            )
        try:
            inspect.signature(function).bind(None)
        except TypeError as error:
            raise TypeError(f"the script {function.__name__} must take one argument, the run: {error}") from error
        self.function = function
        self.name = name
        self.description = inspect.getdoc(function) or ""
        code = function.__code__
        self.file = code.co_filename
        self.place = f"{code.co_filename}, line {code.co_firstlineno}"
        is_of_module = function.__qualname__ == function.__name__
        known = function.__globals__.get(function.__name__) if is_of_module else None
        self.replaced: Script[Any] | None = known if isinstance(known, Script) else None

    def __repr__(self) -> str:
        return f"<script {self.name}: {self.place}>"


@overload
def script(function: Callable[[Any], AsyncIterator[Any]]) -> Script[None]: ...
@overload
def script(function: Callable[[Any], Awaitable[T]]) -> Script[T]: ...
@overload
def script(*, name: str = "") -> Callable[[Callable[[Any], Awaitable[T]]], Script[T]]: ...
def script(function: Any = None, *, name: str = "") -> Any:
    """Makes a script of an async function. Clients run it as the model `script/NAME`; NAME is the function's name if
    not given. Raises: TypeError."""
    if isinstance(function, str):
        raise TypeError(f"write @script(name={function!r})")
    if function is not None:
        return Script(function, name or function.__name__)
    return lambda given: Script(given, name or given.__name__)
