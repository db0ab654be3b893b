"""Which functions of the project a test runs, and how their code is swapped."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import itertools
import math
import os
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.sabotage.values import MARK, empty_like, perturb

#: Folders below the root that are not the project's code.
NOT_OURS = (".venv", ".tools", "build", "dist", "tests", "demo")
#: A cache that takes longer than this to fill, profiled, is not emptied again and again.
COSTLY_S = 0.5


@dataclasses.dataclass
class Seen:
    """A function of the project as a test run met it."""

    code: types.CodeType
    depth: int
    last: int
    cached: bool = False  # ran in a call whose result `functools.cache` keeps
    samples: list[Any] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{Path(self.code.co_filename).stem}.{self.code.co_name}"


class Project:
    """The project's code objects, their functions, and the caches that hold their results."""

    def __init__(self, root: Path) -> None:
        self._root = str(root) + os.sep
        self._known: dict[types.CodeType, bool] = {}
        self._functions: dict[types.CodeType, list[types.FunctionType]] = {}
        self._caches: dict[types.CodeType, Any] = {}
        self._costly: set[types.CodeType] = (
            set()
        )  # caches that take long to fill stay as sound code filled them
        self._modules = 0

    def owns(self, code: types.CodeType) -> bool:
        """Whether the code is the project's, and a function's."""
        known = self._known.get(code)
        if known is None:
            path = code.co_filename
            inside = path[len(self._root) :].split(os.sep) if path.startswith(self._root) else [NOT_OURS[0]]
            known = self._known[code] = inside[0] not in NOT_OURS and not code.co_name.startswith("<")
        return known

    def functions(self, code: types.CodeType) -> list[types.FunctionType]:
        """The living functions of a code object; none for one that is made at each call."""
        if code not in self._functions:
            self._scan()
            self._functions.setdefault(code, [])
        return self._functions[code]

    @contextlib.contextmanager
    def forgetting(self, before: bool) -> Iterator[None]:
        """Empties the `functools.cache`s: before, where asked for, and afterwards those that got results."""
        if before:
            for code, cache in self._caches.items():
                if code not in self._costly:
                    cache.cache_clear()
        known = [(cache, cache.cache_info().misses) for cache in self._caches.values()]
        try:
            yield
        finally:
            for cache, misses in known:
                if cache.cache_info().misses != misses:
                    cache.cache_clear()

    def _scan(self) -> None:
        found: dict[types.CodeType, list[types.FunctionType]] = {}
        self._caches, self._modules = {}, len(sys.modules)
        gc.unfreeze()  # frozen objects (`tests/conftest.py`) are not among those that `gc` gives out
        everything = gc.get_objects()
        gc.freeze()
        for thing in everything:
            kind = type(thing)
            if kind is types.FunctionType and self.owns(thing.__code__):
                found.setdefault(thing.__code__, []).append(thing)
            elif kind is functools._lru_cache_wrapper and self.owns(
                getattr(thing.__wrapped__, "__code__", self._scan.__code__)
            ):
                self._caches[thing.__wrapped__.__code__] = thing
        self._functions.update(found)

    def watch(self) -> tuple[dict[types.CodeType, Seen], Callable[..., None]]:
        """A profile function (`sys.setprofile`) and what it finds."""
        seen: dict[types.CodeType, Seen] = {}
        stacks: dict[int, int] = {}
        cached: dict[int, int] = {}
        began: dict[types.CodeType, float] = {}
        clock = 0
        if len(sys.modules) != self._modules:
            self._scan()

        def profile(frame: types.FrameType, event: str, argument: Any) -> None:
            nonlocal clock
            if event not in ("call", "return") or not self.owns(frame.f_code):
                return
            thread = threading.get_ident()
            clock += 1
            if event == "call":
                depth = stacks[thread] = stacks.get(thread, 0) + 1
                entry = seen.setdefault(frame.f_code, Seen(frame.f_code, depth, clock))
                entry.depth, entry.last = min(entry.depth, depth), clock
                if frame.f_code in self._caches:
                    cached.setdefault(thread, depth)
                    began[frame.f_code] = time.process_time()
                entry.cached = entry.cached or thread in cached
            else:
                if time.process_time() - began.pop(frame.f_code, math.inf) > COSTLY_S:
                    self._costly.add(frame.f_code)
                if cached.get(thread) == stacks.get(thread):
                    cached.pop(thread, None)
                stacks[thread] = max(0, stacks.get(thread, 0) - 1)
                entry_or_none = seen.get(frame.f_code)
                if argument is not None and entry_or_none is not None and len(entry_or_none.samples) < 3:
                    entry_or_none.samples.append(argument)

        return seen, profile


def _trampoline(*args: Any, **kwargs: Any) -> Any:
    return "replaced".__call__(*args, **kwargs)


@contextlib.contextmanager
def sabotaged(functions: list[types.FunctionType], mode: str, sample: Any) -> Iterator[None]:
    """Swaps the code of functions, so that whoever holds a reference gets the sabotage."""
    saved = [(function, function.__code__) for function in functions]
    for function, code in saved:
        sound = types.FunctionType(
            code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        sound.__kwdefaults__ = function.__kwdefaults__
        wrong = _wrong(sound, mode, sample)
        body = _trampoline.__code__
        constants = tuple(wrong if item == "replaced" else item for item in body.co_consts)
        function.__code__ = body.replace(
            co_consts=constants, co_freevars=code.co_freevars, co_name=code.co_name
        )
    try:
        yield
    finally:
        for function, code in saved:
            function.__code__ = code


def _wrong(sound: types.FunctionType, mode: str, sample: Any) -> Callable[..., Any]:
    generates = bool(sound.__code__.co_flags & 0x20)  # CO_GENERATOR

    calls = itertools.count()

    def spoil() -> Callable[[Any], Any]:
        return perturb if mode != "fickle" or next(calls) else lambda value: value

    def perturbed(*args: Any, **kwargs: Any) -> Any:
        result = spoil()(sound(*args, **kwargs))
        return MARK if result is None and mode == "filled" else result

    def perturbed_items(*args: Any, **kwargs: Any) -> Any:
        inner, wrong = sound(*args, **kwargs), spoil()
        step: Callable[..., Any] = functools.partial(next, inner)
        while True:
            try:
                item = step()
            except StopIteration as end:
                return end.value
            try:
                sent = yield wrong(item)
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                step = functools.partial(inner.throw, error)
            else:
                step = functools.partial(inner.send, sent)

    def removed(*args: Any, **kwargs: Any) -> Any:
        return empty_like(sample)

    def removed_items(*args: Any, **kwargs: Any) -> Any:
        yield from () if sample is not None else (MARK,)

    if mode != "removed":
        return perturbed_items if generates else perturbed
    return removed_items if generates else removed


class Guard:
    """Refuses, while active, to write or remove outside temporary folders and to end processes."""

    _EVENTS = ("os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate",
               "os.chmod", "shutil.rmtree", "shutil.move")  # fmt: skip

    def __init__(self) -> None:
        self.active = False
        self.allowed = [os.path.join(os.path.realpath(tempfile.gettempdir()), "tmp"), "/dev/", "/proc/"]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "os.kill" and arguments[1] and arguments[0] != os.getpid():
            raise PermissionError("sabotaged code wants to end a process")
        if event == "open":
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            paths = [arguments[0]] if writes else []
        elif event in self._EVENTS:
            paths = [item for item in arguments[:2] if isinstance(item, (str, bytes, os.PathLike))]
        else:
            return
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)):
                self.active = False  # realpath must not be heard
                real = os.path.realpath(os.fsdecode(path))
                self.active = True
                if not real.startswith(tuple(self.allowed)) and "/__pycache__/" not in real:
                    raise PermissionError(f"sabotaged code wants to change {real}")
