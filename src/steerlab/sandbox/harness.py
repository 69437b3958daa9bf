"""Inside the sandbox: tests in one process, the program in another; only plain values cross between them.

This file is compiled on the host and run there by `python -I -S` with nothing of steerlab around it. The tests'
process (the judge) never loads code or pickles from the program's process: it reads a closed set of plain values.
"""

from __future__ import annotations

import builtins
import operator
import os
import sys

if __name__ != "__main__":  # inside, annotations are never read, and importing typing costs as much as a whole run
    from collections.abc import Callable, Iterator
    from typing import Any

MAX_MESSAGE_BYTES = 64 << 20
READY = b"ready:"
_DECLARED = {"int": "i", "float": "f", "complex": "c", "str": "s", "bytes": "b", "bytearray": "B"}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {"l": list, "t": tuple, "S": set, "z": frozenset}
# Python's own types cross by name, both ways: `f(values, int)` and `f(3) == int` are ordinary tests.
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, object)
}


class CannotCrossError(Exception):
    """The tests hand over something that is no plain value, no function and nothing of the program's."""


class ProtocolError(BaseException):
    """The program's process is gone or sends what it should not; no Exception, for tests often expect one."""


def pack(value: Any, refer: Callable[[Any], bytes]) -> bytes:  # noqa: PLR0912 - one branch per kind of value
    """A value as bytes: tag, length, colon, content; `refer` writes what is no plain value."""
    if value is None or value is True or value is False:
        return {None: b"N0:", True: b"T0:", False: b"F0:"}[value]
    if isinstance(value, type):
        own = [name for name, kind in _TYPES.items() if kind is value]
        return _frame("K", own[0].encode()) if own else refer(value)
    if isinstance(value, int):
        return _frame("i", b"%x" % int.__int__(value) if value >= 0 else b"-%x" % -int.__int__(value))
    if isinstance(value, float):
        return _frame("f", float.hex(value).encode())
    if isinstance(value, complex):
        return _frame("c", f"{value.real.hex()} {value.imag.hex()}".encode())
    if isinstance(value, str):
        return _frame("s", str.encode(value, "utf-8", "surrogatepass"))
    if isinstance(value, bytes | bytearray):
        return _frame("b" if isinstance(value, bytes) else "B", bytes(value))
    for tag, kind in (("l", list), ("t", tuple), ("S", set), ("z", frozenset)):
        if isinstance(value, kind):
            return _frame(tag, b"".join(pack(item, refer) for item in value))
    if isinstance(value, dict):
        return _frame("d", b"".join(pack(k, refer) + pack(v, refer) for k, v in value.items()))
    kind = type(value)
    if kind.__module__ == "decimal" and kind.__name__ == "Decimal":
        return _frame("D", str(value).encode())
    if kind.__module__ == "fractions" and kind.__name__ == "Fraction":
        return _frame("Q", b"%x %x" % (value.numerator, value.denominator))
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return _frame("q", b"".join(pack(item, refer) for item in value))
    if kind.__module__ == "datetime" and kind.__name__ in ("date", "datetime", "time"):
        return _frame("m", f"{kind.__name__} {value.isoformat()}".encode())
    if kind.__module__ == "datetime" and kind.__name__ == "timedelta":
        return _frame("m", f"timedelta {value.days} {value.seconds} {value.microseconds}".encode())
    if kind.__module__ == "numpy" and hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return pack(value.item(), refer)
    return refer(value)


def _frame(tag: str, content: bytes) -> bytes:
    return b"%s%d:%s" % (tag.encode(), len(content), content)


def unpack(message: bytes, resolve: Callable[[str, bytes], Any]) -> Any:
    """The value of one message; raises ProtocolError for anything that pack does not write."""
    try:
        values = list(_items(message, resolve))
    except (ValueError, TypeError, IndexError, ArithmeticError, RecursionError, LookupError) as error:
        raise ProtocolError(f"the program sent something unreadable ({type(error).__name__})") from None
    if len(values) != 1:
        raise ProtocolError("the program sent something unreadable")
    return values[0]


def _items(content: bytes, resolve: Callable[[str, bytes], Any]) -> Iterator[Any]:
    position = 0
    while position < len(content):
        tag = chr(content[position])
        colon = content.index(b":", position, position + 24)
        end = colon + 1 + int(content[position + 1 : colon])
        if end > len(content) or end <= colon:
            raise ValueError("length")
        yield _value(tag, content[colon + 1 : end], resolve)
        position = end


def _value(tag: str, content: bytes, resolve: Callable[[str, bytes], Any]) -> Any:
    if tag in "NTF":
        return {"N": None, "T": True, "F": False}[tag]
    if tag == "i":
        return int(content, 16)
    if tag == "f":
        return float.fromhex(content.decode())
    if tag == "c":
        return complex(*map(float.fromhex, content.decode().split(" ")))
    if tag == "s":
        return content.decode("utf-8", "surrogatepass")
    if tag in "bB":
        return content if tag == "b" else bytearray(content)
    if tag in _CONTAINERS:
        return _CONTAINERS[tag](list(_items(content, resolve)))
    if tag == "d":
        items = list(_items(content, resolve))
        return dict(zip(items[::2], items[1::2], strict=True))
    if tag == "K":
        return _TYPES[content.decode()]
    if tag in "DQqm":
        return _library_value(tag, content, resolve)
    return resolve(tag, content)


def _library_value(tag: str, content: bytes, resolve: Callable[[str, bytes], Any]) -> Any:
    if tag == "q":
        from collections import deque

        return deque(_items(content, resolve))
    if tag == "D":
        from decimal import Decimal

        return Decimal(content.decode())
    if tag == "Q":
        from fractions import Fraction

        return Fraction(*(int(part, 16) for part in content.split(b" ")))
    import datetime

    name, _, text = content.decode().partition(" ")
    if name == "timedelta":
        return datetime.timedelta(**dict(zip(("days", "seconds", "microseconds"), map(int, text.split()), strict=True)))
    kinds: dict[str, Any] = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}
    return kinds[name].fromisoformat(text)


def send(descriptor: int, message: bytes) -> None:
    """Write one message."""
    data = memoryview(len(message).to_bytes(8, "big") + message)
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int) -> bytes:
    """Read one message; raises ProtocolError when the other side is gone."""
    length = int.from_bytes(_exactly(descriptor, 8), "big")
    if length > MAX_MESSAGE_BYTES:
        raise ProtocolError("the program sent a message over 64 MiB")
    return _exactly(descriptor, length)


def _exactly(descriptor: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(descriptor, min(length - len(parts), 1 << 20))
        if not part:
            raise ProtocolError("the program ended before its tests had ended")
        parts += part
    return bytes(parts)


# --- the program's process -------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("getitem", "setitem", "delitem", "contains", "lt", "le", "gt", "ge")},
    **{name: getattr(operator, name) for name in ("eq", "add", "sub", "mul", "truediv", "floordiv", "mod", "neg")},
    **{name: getattr(operator, name) for name in ("matmul", "and_", "or_", "xor", "pow", "invert")},
    **{
        name: getattr(builtins, name) for name in ("len", "iter", "next", "str", "repr", "bool", "format", "isinstance")
    },
    "get": getattr,
    "set": setattr,
    "call": lambda function, *args, **kwargs: function(*args, **kwargs),
    "enter": lambda manager: manager.__enter__(),
    "exit": lambda manager: manager.__exit__(None, None, None),
}


def serve(read: int, write: int) -> None:
    """Load the program, then answer the judge's questions until it ends."""
    kept: list[Any] = []

    def refer(value: Any) -> bytes:
        if isinstance(value, type) and issubclass(value, BaseException):
            return _frame("X", pack([_number(kept, value), value.__name__, _ancestors(value)], refer))
        return _frame("R", b"%d" % _number(kept, value))

    def resolve(tag: str, content: bytes) -> Any:
        if tag == "R":
            return kept[int(content)]
        handle = int(content)

        def function_of_the_tests(*args: Any, **kwargs: Any) -> Any:
            return ask("callback", handle, list(args), kwargs)

        return function_of_the_tests

    def ask(*message: Any) -> Any:
        send(write, pack(list(message), refer))
        return answer_until("returned")

    def answer_until(wanted: str) -> Any:
        while True:
            message = unpack(receive(read), resolve)
            if message[0] == wanted:
                if len(message) == 3:
                    raise RuntimeError(message[2])
                return message[1]
            name, args, kwargs = message
            send(write, _answer(name, args, kwargs, module, refer))

    source = receive(read).decode("utf-8", "surrogatepass")
    module = type(sys)("program")
    sys.modules["program"] = module
    sys.argv = ["program"]
    try:
        exec(compile(source, "program", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001 - whatever the program does is the answer
        send(write, pack(_raised(error, refer), refer))
    else:
        send(write, pack(["value", None, []], refer))
    answer_until("end")


def _number(kept: list[Any], value: Any) -> int:
    for index, other in enumerate(kept):
        if other is value:
            return index
    kept.append(value)
    return len(kept) - 1


def _answer(name: str, args: list[Any], kwargs: dict[str, Any], module: Any, refer: Callable[[Any], bytes]) -> bytes:
    try:
        value = _named(module, args[0]) if name == "name" else OPERATIONS[name](*args, **kwargs)
        changed = [*args[1:], *kwargs.values()] if name == "call" else []
        mutable = [item if isinstance(item, list | dict | set | bytearray) else None for item in changed]
        return pack(["value", value, mutable], refer)
    except BaseException as error:  # noqa: BLE001 - whatever the program does is the answer
        return pack(_raised(error, refer), refer)


def _named(module: Any, name: str) -> list[Any]:
    return [module.__dict__[name]] if name in module.__dict__ else []


def _raised(error: BaseException, refer: Callable[[Any], bytes]) -> list[Any]:
    plain = (str, int, float, bool, bytes, type(None))
    args = [item for item in error.args if isinstance(item, plain)]
    own = None if type(error).__module__ in ("builtins",) else type(error)
    return ["raised", own, _ancestors(type(error)), args if len(args) == len(error.args) else [str(error)]]


def _ancestors(kind: type) -> list[str]:
    return [f"{cls.__module__} {cls.__name__}" for cls in kind.__mro__]


# --- the judge's process ---------------------------------------------------------------------------------------------


class Judge:
    """The tests' side of the conversation."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self.write = read, write
        self.functions: list[Callable[..., Any]] = []
        self.classes: dict[int, type[BaseException]] = {}
        self.broken: ProtocolError | None = None

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Let the program do `name`; answers its calls of the tests' functions meanwhile."""
        message = pack([name, list(args), kwargs], self.refer)
        try:
            send(self.write, message)
            return self.reply([*args[1:], *kwargs.values()] if name == "call" else [])
        except BrokenPipeError:
            self.broken = ProtocolError("the program ended before its tests had ended")
            raise self.broken from None
        except ProtocolError as error:
            self.broken = error
            raise

    def reply(self, passed: list[Any]) -> Any:
        """What the program answers; lists, dicts and sets that it changed are changed here, too."""
        while True:
            message = unpack(receive(self.read), self.resolve)
            if not isinstance(message, list) or not message:
                raise ProtocolError("the program sent something unreadable")
            if message[0] == "callback" and len(message) == 4:
                self.call_back(*message[1:])
            elif message[0] == "value" and len(message) == 3:
                _restore(passed, message[2])
                return message[1]
            elif message[0] == "raised" and len(message) == 4:
                raise self.exception(*message[1:])
            else:
                raise ProtocolError("the program sent something unreadable")

    def call_back(self, handle: Any, args: Any, kwargs: Any) -> None:
        """Call a function of the tests for the program: one that the tests handed over, and no other."""
        if not (type(handle) is int and 0 <= handle < len(self.functions)):
            raise ProtocolError("the program called a function that it was not given")
        try:
            result = ["returned", self.functions[handle](*args, **kwargs)]
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - goes back to the program, which called
            result = ["returned", None, f"{type(error).__name__}: {error}"]
        send(self.write, pack(result, self.refer))

    def refer(self, value: Any) -> bytes:
        """What is no plain value, for the program: its own things by number, functions of the tests."""
        if type(value) is Reference:
            return _frame("R", b"%d" % handle_of(value))
        if type(value).__name__ in ("function", "builtin_function_or_method", "method", "partial"):
            self.functions.append(value)
            return _frame("C", b"%d" % (len(self.functions) - 1))
        raise CannotCrossError(f"a {type(value).__name__} of the tests cannot cross to the program")

    def resolve(self, tag: str, content: bytes) -> Any:
        """What is no plain value, from the program: a reference, or a stand-in for its exception class."""
        if tag == "R":
            return Reference(self, int(content))
        if tag != "X":
            raise ValueError("tag")
        (parts,) = _items(content, self.resolve)
        handle, name, ancestors = parts
        if type(handle) is not int or type(name) is not str:
            raise ValueError("class")
        if handle not in self.classes:
            self.classes[handle] = type(name, (_known(ancestors),), {})
        return self.classes[handle]

    def exception(self, own: Any, ancestors: Any, args: Any) -> BaseException:
        """The exception that the tests see for one that the program raised."""
        known = _known(ancestors)
        is_class = isinstance(own, type) and issubclass(own, BaseException)
        kind = own if is_class and _first_is_unknown(ancestors) else known
        try:
            error = kind(*args)
        except Exception:  # noqa: BLE001 - some exceptions want other arguments
            error = kind.__new__(kind)
        return error if isinstance(error, BaseException) else ProtocolError("the program raised no exception")


def _known(ancestors: Any) -> type[BaseException]:
    """The nearest ancestor that the tests can name: a builtin, or of a module that they have imported."""
    for name in ancestors:
        module, _, plain = str(name).partition(" ")
        found = vars(sys.modules[module]).get(plain) if module in sys.modules else None
        if (
            isinstance(found, type)
            and issubclass(found, BaseException)
            and found not in (CannotCrossError, ProtocolError)
        ):
            return found
    return Exception


def _first_is_unknown(ancestors: Any) -> bool:
    module, _, plain = str(ancestors[0]).partition(" ")
    return module not in sys.modules or plain not in vars(sys.modules[module])


def _restore(passed: list[Any], changed: Any) -> None:
    if not isinstance(changed, list) or (changed and len(changed) != len(passed)):
        raise ProtocolError("the program sent something unreadable")
    for mine, theirs in zip(passed, changed, strict=False):
        if type(mine) is not type(theirs) or mine == theirs:
            continue
        if isinstance(mine, list | bytearray):
            mine[:] = theirs
        elif isinstance(mine, dict | set):
            mine.clear()
            mine.update(theirs)


def handle_of(reference: Reference) -> int:
    """The program's number for the thing."""
    return int(object.__getattribute__(reference, "_handle"))


def _ask(reference: Reference, name: str, *args: Any, **kwargs: Any) -> Any:
    return object.__getattribute__(reference, "_judge").ask(name, reference, *args, **kwargs)


class Reference:
    """Something of the program's that is no plain value: a function, a class, an object.

    It never equals a plain value, never orders against one, and its arithmetic with one never gives one: an object
    that says so itself is the oldest way to fake a passed test.
    """

    def __init__(self, judge: Judge, handle: int) -> None:
        object.__setattr__(self, "_judge", judge)
        object.__setattr__(self, "_handle", handle)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__", "__dict__"):
            return object.__getattribute__(self, name)
        return _ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "set", name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, in the program."""
        return _ask(self, "call", *args, **kwargs)

    def __hash__(self) -> int:
        return handle_of(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Reference:
            return False
        return handle_of(self) == handle_of(other) or _ask(self, "eq", other) is True

    def __iter__(self) -> Any:
        found = _ask(self, "iter")
        return found if type(found) is Reference else iter(())

    def __next__(self) -> Any:
        return _ask(self, "next")

    def __bool__(self) -> bool:
        return _ask(self, "bool") is True

    def __len__(self) -> int:
        return int(_ask(self, "len"))

    def __str__(self) -> str:
        return str.__str__(_ask(self, "str"))

    def __repr__(self) -> str:
        return str.__str__(_ask(self, "repr"))

    def __format__(self, specification: str) -> str:
        return str.__str__(_ask(self, "format", specification))

    def __enter__(self) -> Any:
        return _ask(self, "enter")

    def __exit__(self, *_: object) -> None:
        _ask(self, "exit")

    def __instancecheck__(self, other: Any) -> bool:
        return type(other) is Reference and _ask(other, "isinstance", self) is True


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Reference, *args: Any) -> Any:
        result = _ask(self, name, *args)
        plain = any(type(other) is not Reference for other in args) or not args
        if name not in ("getitem", "setitem", "delitem", "contains") and plain and type(result) is not Reference:
            raise TypeError(f"an object of the program's cannot {name} with a plain value")
        return result

    return forward


for _name in ("getitem", "setitem", "delitem", "contains", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv"):
    setattr(Reference, f"__{_name}__", _forward(_name))
for _name in ("floordiv", "mod", "neg", "matmul", "pow", "invert", "xor"):
    setattr(Reference, f"__{_name}__", _forward(_name))
for _name in ("and", "or"):
    setattr(Reference, f"__{_name}__", _forward(f"{_name}_"))


class Names(dict):  # type: ignore[type-arg]
    """The tests' global names: their own, then Python's, then the program's.

    Python's come before the program's, or a program could bring its own `len`; `entry_points` are the exception.
    """

    def __init__(self, judge: Judge, entry_points: tuple[str, ...]) -> None:
        super().__init__(__name__="tests", __builtins__=builtins)
        self.judge, self.entry_points = judge, entry_points

    def __missing__(self, name: str) -> Any:
        if name not in self.entry_points and (name in vars(builtins) or name.startswith("__")):
            raise KeyError(name)
        found = self.judge.ask("name", name)
        if not isinstance(found, list) or len(found) != 1:
            raise KeyError(name)
        return found[0]


def hide() -> bool:
    """Close this process's memory and descriptors to other processes of the same user; False when that failed."""
    try:
        import _ctypes

        native: Any = _ctypes  # private, and a tenth of the time that importing ctypes takes
        prctl = native.dlsym(native.dlopen(None, 0), "prctl")
        native.call_function(prctl, (4, 0, 0, 0, 0))
        return bool(native.call_function(prctl, (3, 0, 0, 0, 0)) == 0)
    except (ImportError, AttributeError):
        import ctypes

        library = ctypes.CDLL(None)
        library.prctl(4, 0, 0, 0, 0)
        return bool(library.prctl(3, 0, 0, 0, 0) == 0)


def judge(judge_: Judge, program: str, tests: str, entry_points: tuple[str, ...]) -> tuple[str, str]:
    """passed, failed or unscored, and why."""
    try:
        compiled = compile(tests, "tests", "exec")
    except (SyntaxError, ValueError) as error:
        return "unscored", f"the tests do not compile: {error}"
    loading = True
    try:
        send(judge_.write, program.encode("utf-8", "surrogatepass"))
        judge_.reply([])
        loading = False
        exec(compiled, Names(judge_, entry_points))
        if judge_.broken is not None:  # tests may have caught it: `except BaseException` is rare but written
            raise judge_.broken
    except CannotCrossError as error:
        return "unscored", f"{error}: append a few lines to the program that take plain values"
    except BaseException as error:  # noqa: BLE001 - every other end of the tests is a failure
        where = "the program does not load" if loading else _line(error)
        return "failed", f"{where}: {type(error).__name__}: {error}"
    return "passed", "all tests passed"


def _line(error: BaseException) -> str:
    line, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "tests":
            line = step.tb_lineno
        step = step.tb_next
    return f"tests line {line}"


def main() -> None:
    """argv: descriptors of the question (token, program, tests, entry points) and of the verdict; site-packages."""
    question, verdict = int(sys.argv[1]), int(sys.argv[2])
    sys.path.append(sys.argv[3])
    to_judge, from_program = os.pipe()
    to_program, from_judge = os.pipe()
    if os.fork() == 0:
        os.dup2(to_program, 3)
        os.dup2(from_program, 4)
        os.closerange(5, 1024)
        try:
            serve(3, 4)
        except (ProtocolError, BrokenPipeError):
            sys.stdout.flush()
        os._exit(0)
    os.close(from_program)
    os.close(to_program)
    # Only now, after the fork, does the secret enter a process, and the program's source has not left this one yet.
    if not hide():
        os._exit(3)
    with open(question, "rb") as file:
        parts = unpack(file.read(), lambda *_: None)
    token, program, tests, entry_points = parts
    os.write(verdict, READY)
    outcome = judge(Judge(to_judge, from_judge), program, tests, tuple(entry_points))
    text = pack([token, *(part[:2000] for part in outcome)], lambda _: b"N0:")
    sys.stdout.flush()
    os.write(verdict, text)
    os._exit(0)


if __name__ == "__main__":
    main()
