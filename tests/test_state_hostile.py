"""Opening a file runs nothing that is in it, and takes no more time or memory than it says."""

from __future__ import annotations

import copyreg
import datetime
import gzip
import pickle
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import DAY, STRATEGY, memory

from qlstm import state
from qlstm.errors import StateCorruptError, StateError, StateForeignError
from qlstm.state import codec, envelope, opcodes, payload
from qlstm.state.plain import KIND

# Hostile files. Each would write the canary if the standard unpickler read it.

CANARY = "canary"


def call(module: str, name: str, *arguments: Any) -> bytes:
    """Return a pickle that calls a function."""
    values = b"".join(pickle.dumps(argument, 3)[2:-1] for argument in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + values + b"tR."


# What has been used to run code past lists of forbidden names, and what loads another pickle, file or library.
LOADERS = [
    *[
        ("builtins", "__import__", "this"),
        ("builtins", "compile", "1", "", "eval"),
        ("builtins", "open", "/etc/passwd"),
    ],
    *[("io", "open", "/etc/passwd"), ("_io", "FileIO", "/etc/passwd"), ("codecs", "open", "/etc/passwd")],
    *[("runpy", "run_path", "/x"), ("pydoc", "locate", "os.system"), ("pydoc", "pipepager", "", "true")],
    *[("bdb", "Bdb"), ("cProfile", "run", "1"), ("profile", "run", "1"), ("trace", "Trace"), ("pdb", "run", "1")],
    *[("code", "InteractiveInterpreter"), ("doctest", "debug_script", "1"), ("ctypes", "CDLL", "libc.so.6")],
    *[
        ("shutil", "rmtree", "/nowhere"),
        ("webbrowser", "open", "x"),
        ("asyncio", "run", None),
        ("ssl", "get_server_certificate"),
    ],
    *[("multiprocessing.util", "spawnv_passfds", "true"), ("pip", "main", ["list"]), ("imaplib", "IMAP4", "localhost")],
    *[
        ("logging.config", "listen"),
        ("sys", "exit", 0),
        ("types", "FunctionType"),
        ("weakref", "finalize"),
        ("gc", "get_objects"),
    ],
    *[("numpy", "memmap", "/etc/passwd"), ("numpy", "fromfile", "/etc/passwd"), ("numpy", "genfromtxt", "/etc/passwd")],
    *[
        ("numpy.lib._npyio_impl", "load", "/x"),
        ("numpy.lib.format", "read_array"),
        ("numpy._core.multiarray", "fromfile", "/x"),
    ],
    *[
        ("pandas.compat.pickle_compat", "load"),
        ("pandas.io.common", "get_handle", "/x"),
        ("pandas", "read_csv", "/etc/passwd"),
    ],
    *[("pandas", "read_hdf", "/x"), ("pandas._libs.parsers", "TextReader"), ("pandas", "DataFrame.to_pickle")],
    *[("torch._utils", "_import_dotted_name", "os.system"), ("torch.package", "PackageImporter", "/x")],
    *[("torch.fx.graph_module", "reduce_graph_module"), ("torch.jit._script", "unpackage_script_module")],
    *[
        ("torch._C", "PyTorchFileReader", "/x"),
        ("torch", "classes"),
        ("torch._inductor.codecache", "PyCodeCache.load", "1"),
    ],
    *[("torch.nn.modules.module", "_load_from_state_dict"), ("torch.nn", "Module"), ("torch.utils.data", "DataLoader")],
    *[("torch.distributed.rpc", "init_rpc"), ("torch.storage", "UntypedStorage.from_file", "/x")],
    *[
        ("xarray.backends.api", "open_dataset", "/x"),
        ("xarray", "load_dataset", "/x"),
        ("xarray.backends", "NetCDF4DataStore"),
    ],
    *[("codecs", "decode", b"x", "zip"), ("_codecs", "lookup", "zip"), ("encodings", "search_function", "zip")],
    *[
        ("cloudpickle", "loads", b"x"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("joblib.numpy_pickle", "load", "/x"),
    ],
    *[("qlstm.strategy", "load_strategy", "/x.py"), ("qlstm.state.codec", "read", "/x"), ("qlstm", "run")],
]


def hostile(canary: Path) -> dict[str, tuple[bytes, str]]:
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    inner = call("os", "system", touch)
    short = lambda text: b"\x8c" + bytes([len(text)]) + text.encode()
    return {
        "reduce": (call("os", "system", touch), "os.system"),
        "posix": (call("posix", "system", touch), "posix.system"),
        "eval": (call("builtins", "eval", code), "builtins.eval"),
        "exec": (call("builtins", "exec", code), "builtins.exec"),
        "old name of builtins": (call("__builtin__", "eval", code), "__builtin__.eval"),
        "subprocess": (call("subprocess", "getoutput", touch), "subprocess.getoutput"),
        "import": (call("importlib", "import_module", "this"), "importlib.import_module"),
        "attribute": (call("operator", "attrgetter", "system"), "operator.attrgetter"),
        "dotted name": (b"\x80\x04" + short("numpy") + short("ndarray.tofile") + b"\x93.", "numpy.ndarray.tofile"),
        "dotted way out": (
            b"\x80\x04" + short("numpy") + short("os.system") + b"\x93" + short(touch) + b"\x85R.",
            "numpy.os.system",
        ),
        "numpy f2py": (call("numpy.f2py.diagnose", "run_command", touch), "numpy.f2py.diagnose.run_command"),
        "numpy runner": (call("numpy.testing._private.utils", "runstring", code, {}), "runstring"),
        "numpy load": (call("numpy", "load", str(canary), None, True), "numpy.load"),
        "numpy loadtxt": (call("numpy", "loadtxt", "/etc/passwd"), "numpy.loadtxt"),
        "numpy tofile": (call("numpy", "savetxt", str(canary), [1]), "numpy.savetxt"),
        "nested pickle": (call("pickle", "loads", inner), "pickle.loads"),
        "nested _pickle": (call("_pickle", "loads", inner), "_pickle.loads"),
        "nested pandas": (call("pandas", "read_pickle", str(canary)), "pandas.read_pickle"),
        "nested torch": (call("torch.storage", "_load_from_bytes", inner), "torch.storage._load_from_bytes"),
        "nested codecs": (call("_codecs", "decode", inner, "zip"), "_codecs.decode"),
        "nested pandas module": (call("pandas.io.pickle", "read_pickle", str(canary)), "pandas.io.pickle.read_pickle"),
        "nested torch load": (call("torch", "load", str(canary)), "torch.load"),
        "nested torch serialization": (call("torch.serialization", "load", str(canary)), "torch.serialization.load"),
        "nested torch jit": (call("torch.jit", "load", str(canary)), "torch.jit.load"),
        "nested torch hub": (call("torch.hub", "load", "x", "y"), "torch.hub.load"),
        "nested joblib": (call("joblib", "load", str(canary)), "joblib.load"),
        "nested xarray": (call("xarray", "open_dataset", str(canary)), "xarray.open_dataset"),
        "nested marshal": (call("marshal", "loads", b"x"), "marshal.loads"),
        "nested dill": (call("dill", "loads", b"x"), "dill.loads"),
        "pandas eval": (call("pandas", "eval", code), "pandas.eval"),
        "pandas query": (call("pandas.core.computation.eval", "eval", code), "pandas.core.computation.eval.eval"),
        "torch extension": (call("torch.utils.cpp_extension", "load_inline", "x", "y"), "cpp_extension.load_inline"),
        "torch shell": (call("torch.utils.collect_env", "run", touch), "torch.utils.collect_env.run"),
        "torch rebuild of a type": (call("torch._utils", "_rebuild_wrapper_subclass", 1), "_rebuild_wrapper_subclass"),
        "numpy object array": (call("numpy", "fromiter", [1], "O"), "numpy.fromiter"),
        "timeit": (call("timeit", "timeit", code), "timeit.timeit"),
        "pty": (call("pty", "spawn", "sh"), "pty.spawn"),
        "code object": (call("types", "CodeType", 0), "types.CodeType"),
        "partial": (call("functools", "partial", 1), "functools.partial"),
        "getattr": (call("builtins", "getattr", "x", "y"), "builtins.getattr"),
        "apply": (call("__builtin__", "apply", 1), "__builtin__.apply"),
        "map": (call("builtins", "map", 1), "builtins.map"),
        "copyreg": (call("copyreg", "_reconstructor", 1), "copyreg._reconstructor"),
        "a notebook's builtins": (call("__main__", "__builtins__"), "__main__.__builtins__"),
        "a notebook's module": (b"\x80\x04" + short("__main__") + short("os.system") + b"\x93.", "__main__.os.system"),
        "socket": (call("socket", "create_connection", ("localhost", 9)), "socket.create_connection"),
        "web": (call("urllib.request", "urlopen", "http://localhost:9"), "urllib.request.urlopen"),
        **{
            f"{module}.{name}": (call(module, name, *arguments), f"{module}.{name}")
            for module, name, *arguments in LOADERS
        },
        "registered extension": (b"\x80\x02\x82\xf0" + pickle.dumps(touch, 2)[2:-1] + b"\x85R.", "extension codes"),
        "nested in a tensor's storage": (
            b"\x80\x03NNctorch.storage\n_load_from_bytes\n" + pickle.dumps(inner, 3)[2:-1] + b"\x85R\x87.",
            "torch.storage._load_from_bytes",
        ),
        "nested in a frame": (b"\x80\x02cpandas\nDataFrame\n)\x81" + inner[2:-1] + b"b.", "os.system"),
        "nested in an index": (call("pandas.core.indexes.base", "_new_Index")[:-3] + inner[2:-1] + b"tR.", "os.system"),
        "nested in an array": (call("numpy._core.multiarray", "_reconstruct")[:-3] + inner[2:-1] + b"tR.", "os.system"),
        "nested in a network": (b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81" + inner[2:-1] + b"b.", "os.system"),
        "name overwritten in the memo": (
            b"\x80\x04"
            + short("numpy")
            + b"q\x00"
            + short("ndarray")
            + b"q\x010"
            + short("os")
            + b"q\x000"
            + short("system")
            + b"q\x0100h\x00h\x01\x93"
            + short(touch)
            + b"\x85R.",
            "os.system",
        ),
        "name below a mark that is popped": (
            b"\x80\x04" + short("os") + short("system") + b"(" + short("ndarray") + b"1\x93" + short(touch) + b"\x85R.",
            "os.system",
        ),
        "name taken out of a frame": (
            b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00"
            + short("os")
            + b"N0"
            + short("system")
            + b"\x93"
            + short(touch)
            + b"\x85R.",
            "os.system",
        ),
        "names of other lengths": (
            b"\x80\x04X\x02\x00\x00\x00os\x8d\x06\x00\x00\x00\x00\x00\x00\x00system\x93" + short(touch) + b"\x85R.",
            "os.system",
        ),
        "a space in a module's name": (b"\x80\x02cnumpy ndarray\nx\n.", "numpy.ndarray x"),
        "a reduce of nothing allowed": (b"\x80\x02cnumpy\nndarray\n)R}X\x01\x00\x00\x00acos\nsystem\nsb.", "os.system"),
        "inst": (f"(S'{touch}'\nios\nsystem\n.".encode(), "os.system"),
        "obj": (b"(cos\nsystem\nS'" + touch.encode() + b"'\no.", "os.system"),
        "newobj": (b"\x80\x02csubprocess\nPopen\n(]S'true'\nat\x81.", "subprocess.Popen"),
        "newobj_ex": (b"\x80\x04\x8c\x02os\x8c\x06system\x93)}\x92.", "os.system"),
        "build": (b"\x80\x02cos\nPathLike\n)R}S'x'\nI1\nsb.", "os.PathLike"),
        "extension 1": (b"\x80\x02\x82\x01.", "extension codes"),
        "extension 2": (b"\x80\x02\x83\x01\x00.", "extension codes"),
        "extension 4": (b"\x80\x02\x84\x01\x00\x00\x00.", "extension codes"),
        "persistent id": (b"Pname\n.", "persistent ids"),
        "persistent id on the stack": (b"\x80\x02U\x01xQ.", "persistent ids"),
        "buffers": (b"\x80\x05\x97.", "out-of-band buffers"),
        "name from the memo": (
            b"\x80\x04"
            + short("os")
            + b"\x94"
            + short("system")
            + b"\x94"
            + b"00"
            + b"h\x00h\x01\x93"
            + short(touch)
            + b"\x85R.",
            "os.system",
        ),
        "name made up": (b"\x80\x04" + short("os") + b"N\x93.", "made up"),
        "duplicated name": (b"\x80\x04" + short("os") + b"2\x93.", "os.os"),
        "hidden behind a stop": (b"\x80\x02cos\nsystem\n0N.", "os.system"),
    }


@pytest.fixture(autouse=True)
def _a_registered_extension() -> Iterator[None]:
    """Let code 240 mean ``os.system``, as a library may have registered it."""
    copyreg.add_extension("os", "system", 0xF0)
    yield
    copyreg.remove_extension("os", "system", 0xF0)


@pytest.mark.parametrize("family", list(hostile(Path(CANARY))))
def test_hostile_pickles_are_refused_by_name_and_run_nothing(family: str, tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    content, name = hostile(canary)[family]
    readers = (state.read, state.inspect, partial(state.read, strategy=STRATEGY))
    loaded = set(sys.modules)
    for data in (gzip.compress(content), envelope.wrap(content, {})):
        (tmp_path / "f.gz").write_bytes(data)
        for read in readers:
            with pytest.raises(StateForeignError, match=r"f\.gz holds objects") as caught:
                read(tmp_path / "f.gz")
            assert name in str(caught.value)
    assert not canary.exists()
    assert set(sys.modules) == loaded


WATCHED = """
import sys, pathlib, pickle
from qlstm import state
from qlstm.errors import StateForeignError
folder = pathlib.Path(sys.argv[1])
files = sorted(folder.iterdir())
state.inspect(sys.argv[2])  # so that everything of ours is imported
seen, watching = [], False

def watch(event, arguments):
    quiet = ("object.__getattr__", "sys._getframe")
    if watching and event not in quiet:
        seen.append((event, str(arguments[0]) if arguments else ""))

sys.addaudithook(watch)
for file in files:
    for look in (state.read, state.inspect, state.verify):
        watching = True
        try:
            if getattr(look(file), "problems", ()):
                raise StateForeignError
            raise SystemExit(f"{file} was read")
        except StateForeignError:
            watching = False
strange = [(event, what) for event, what in seen if event != "open" or pathlib.Path(what).parent != folder]
print(len(files), strange)
"""


def test_reading_hostile_files_opens_nothing_else_and_starts_and_imports_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    state.write(memory(), tmp_path / "good.gz")
    corpus = hostile(tmp_path / CANARY)
    for i, (content, _) in enumerate(corpus.values()):
        (folder / f"{i}.gz").write_bytes(gzip.compress(content))
        (folder / f"{i}-sealed.gz").write_bytes(envelope.wrap(content, {}))
    command = [sys.executable, "-c", WATCHED, str(folder), str(tmp_path / "good.gz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{2 * len(corpus)} []\n", "")


def test_the_canary_sings_for_the_standard_unpickler(tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    families = ("reduce", "eval", "inst", "name from the memo", "registered extension", "name overwritten in the memo")
    for family in (
        *families,
        "name below a mark that is popped",
        "name taken out of a frame",
        "names of other lengths",
    ):
        pickle.loads(hostile(canary)[family][0])
        assert canary.exists()
        canary.unlink()


def test_the_unpickler_refuses_by_itself_what_the_scan_would_have_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "scan", lambda *arguments: None)
    for family in ("reduce", "eval", "inst", "obj", "name from the memo", "newobj", "persistent id"):
        with pytest.raises(StateCorruptError, match=r"not allowed|cannot be read"):
            payload.loads(hostile(tmp_path / CANARY)[family][0], "f.gz")
    assert not (tmp_path / CANARY).exists()


def tuple_of(value: bytes) -> bytes:
    """Return the file of (None, None, value), the value given by its opcodes."""
    return gzip.compress(b"\x80\x04NN" + value + b"\x87.")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        # The real constructor takes the buffer's bytes for addresses of objects.
        (call("numpy", "ndarray", (1,), "O", b"\x10" * 8)[2:-1], "array dtype 'O'"),
        (call("numpy", "ndarray", (2,), "<f8", b"\x10" * 8)[2:-1], r"array of shape \(2,\)"),
        (call("numpy", "ndarray", (-1,), "<f8", b"")[2:-1], "array shape"),
        (call("numpy", "ndarray", (2**62, 4), "<f8", b"")[2:-1], "array of shape"),
        (call("numpy", "ndarray", (1,), "V8", b"\x00" * 8)[2:-1], "array dtype 'V8'"),
        (call("builtins", "bytearray", 2**40)[2:-1], "bytearray"),
        (call("numpy", "datetime64", "x")[2:-1], "pickle cannot be read"),
        (b"cnumpy\ndtype\n(U\x02V8I00\nI01\ntR", "array dtype 'V8'"),
        (b"cnumpy\nndarray\n}U\x05_makeNsb", "pickle cannot be read"),
        (b"cnumpy\nndarray\nN}U\x05_makeNs\x86b", "cannot be set"),
    ],
)
def test_makers_check_what_a_pickle_calls_them_with(value: bytes, message: str) -> None:
    with pytest.raises(StateCorruptError, match=message):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize("value", [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n(U\x02f8I00\nI01\ntR"])
def test_nothing_but_values_gets_out_of_a_pickle(value: bytes) -> None:
    with pytest.raises(StateForeignError, match=r"it holds (numpy.ndarray|a dtype) where a plain value belongs"):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"]" * 1000 + b"a" * 999, "nest deeper than 256"),
        (b"N" + b"\x85" * 1_000_000, "nest deeper than 256"),  # hashing such a tuple overflows the C stack
        (b"]\x94h\x00a", "contain themselves"),
        (b"N\x94" + b"".join(b"0](h%ch%ce\x94" % (i, i) for i in range(100)), "contain themselves or nest"),
    ],
)
def test_nesting_without_end_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(StateForeignError, match=message):
        codec.decode(tuple_of(value))


def test_a_program_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(StateForeignError, match="longer than 1000 steps"):
        codec.decode(tuple_of(b"N0" * 1000 + b"N"))


def test_an_absurd_memo_index_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="memo index"):
        codec.decode(tuple_of(b"Nr\xff\xff\xff\x7f"))


def test_a_length_beyond_the_file_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="broken at step"):
        codec.decode(tuple_of(b"\x96" + struct.pack("<Q", 2**40)))


def test_a_bomb_that_owns_up_to_its_size_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_PAYLOAD", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    monkeypatch.setattr(zlib, "decompressobj", None)
    with pytest.raises(StateForeignError, match=r"unpacks to 2097152 bytes, more than 1048576"):
        codec.decode(bomb)


def test_a_bomb_that_hides_its_size_stops_where_it_said_it_would() -> None:
    import tracemalloc

    bomb = bytearray(gzip.compress(bytes(64 << 20)))
    bomb[-4:] = struct.pack("<I", 1000)
    tracemalloc.start()
    with pytest.raises(StateCorruptError, match="not as long as it says"):
        codec.decode(bytes(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_mutated_pickles_end_in_values_or_named_errors() -> None:
    chance = random.Random(1)
    seeds = [
        pickle.dumps((DAY, {"A": np.arange(3)}, {"w": [1, "x", {2.5}], "d": datetime.date(2020, 1, 1)}), p)
        for p in (0, 2, 4, 5)
    ]
    outcomes = {"value": 0, "error": 0}
    for i in range(4000):
        content = bytearray(seeds[i % 4])
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            payload.loads(bytes(content), "f")
            outcomes["value"] += 1
        except (StateCorruptError, StateForeignError):
            outcomes["error"] += 1
    assert min(outcomes.values()) > 50


def test_mutated_hostile_pickles_never_do_what_they_were_made_for(tmp_path: Path) -> None:
    canary, chance = tmp_path / CANARY, random.Random(3)
    seeds = [content for content, _ in hostile(canary).values()]
    read, loaded = 0, set(sys.modules)
    for i in range(6000):
        content = bytearray(seeds[i % len(seeds)])
        for _ in range(chance.randint(1, 3)):
            place, kind = chance.randrange(len(content)), chance.randrange(3)
            if kind == 0:
                content[place] = chance.randrange(256)
            elif kind == 1:
                del content[place : place + chance.randint(1, 4)]
            else:
                other = chance.choice(seeds)
                start = chance.randrange(len(other))
                content[place:place] = other[start : start + chance.randint(1, 12)]
            content = content or bytearray(b".")
        try:
            payload.loads(bytes(content), "f")
            read += 1
        except (StateCorruptError, StateForeignError):
            continue
    assert read < 600  # most stay hostile or broken
    assert not canary.exists()
    assert {name for name in set(sys.modules) - loaded if not name.startswith("encodings.")} == set()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({KIND: "unheard of"}, "state cannot be rebuilt"),
        ({KIND: "DataArray", "dims": ("x",)}, "state cannot be rebuilt"),
        ({"a": [{KIND: "module", "class": "os:system"}]}, "'system', which 'os' does not define"),
        ({KIND: "module", "class": "torch.nn:functional"}, "'functional', which 'torch.nn' does not define"),
        ({KIND: "module", "class": "qlstm.nn:fit"}, "'fit', which 'qlstm.nn' does not define"),
        ({KIND: "tensor", "dtype": "load", "values": np.zeros(1)}, "state cannot be rebuilt"),
        ({KIND: "tensor", "same": 0}, "state cannot be rebuilt"),
    ],
)
def test_a_description_that_breaks_the_schema_is_a_named_error(described: Any, message: str) -> None:
    data = envelope.wrap(payload.dumps((None, None, described)), {})
    with pytest.raises(StateError, match=message):
        codec.decode(data, what="f.gz")
