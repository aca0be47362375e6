"""Hostile pickles: each would write the canary if the standard unpickler read it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

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
