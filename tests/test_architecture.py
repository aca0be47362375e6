"""The house of docs/design.md: layers, no cycles, public names listed and documented (ruff keeps the lists sorted)."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "qlstm"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A module imports only from lower layers; inside a package the same holds in the order listed.
LAYERS = [
    ["errors", "_lazy", "_jit", "_labels", "progress", "ahead"],
    ["dates", "contests", "constants", "extras", "gaps"],
    ["cube"],
    ["weights", "schedule", "files", "generators", "ta", "handover", "imprint", "parallel", "forecast", "asof"],
    ["stats", "exposure", "neutralization", "exits", "nn", "strategy", "data", "significance", "garch", "scaling"],
    ["filter", "output", "calls", "state", "graph", "metrics", "ledger", "bars", "baselines", "fingerprint"],
    ["engine", "labels", "portfolio", "risk", "universe", "analysis"],
    ["decision", "checkpoint", "modelstore"],
    ["precautions", "training", "submission"],
    ["multipass"],
    ["backtester", "runner"],
    ["report", "forward_looking", "optimizer", "audit", "export"],
    ["results"],
    ["cli"],
    ["__main__"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def top(name: str) -> str:
    return name.split(".")[0]


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports anywhere, deferred imports included, type checking not."""
    parts = list(path.relative_to(PACKAGE).parts[:-1])
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = parts[: len(parts) - (node.level - 1)] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            full = [*base, alias.name]
            target = PACKAGE.joinpath(*full)
            is_module = target.with_suffix(".py").exists() or (target / "__init__.py").exists()
            found.add(".".join(full if is_module else base))
    return found - {""}


GRAPH = {module_name(path): imports(path) for path in MODULES}


def test_every_module_has_a_layer():
    assert {top(name) for name in GRAPH} - {"__init__"} <= set(RANK)


@pytest.mark.parametrize("name", sorted(set(GRAPH) - {"__init__"}))
def test_a_module_imports_only_from_lower_layers(name):
    upward = [other for other in GRAPH[name] if top(other) != top(name) and RANK[top(other)] >= RANK[top(name)]]
    assert upward == []


def test_there_is_no_cycle():
    done, walking = set(), []

    def visit(name):
        if name in walking:
            raise AssertionError(" -> ".join([*walking[walking.index(name) :], name]))
        if name in done or name not in GRAPH:
            return
        walking.append(name)
        for other in GRAPH[name]:
            visit(other)
        done.add(walking.pop())

    for name in GRAPH:
        visit(name)
    assert done == set(GRAPH)


def defined(tree: ast.Module) -> dict[str, ast.AST]:
    return {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_lists_its_public_names_and_documents_them(path):
    tree = ast.parse(path.read_text())
    names = exported(tree)
    assert names is not None, "no __all__"
    assert ast.get_docstring(tree), "no module docstring"
    here = defined(tree)
    public = {name for name in here if not name.startswith("_")}
    assert public <= set(names), f"public but not in __all__: {public - set(names)}"
    for name in set(names) & set(here):
        assert ast.get_docstring(here[name]), f"{name} has no docstring"


@pytest.mark.parametrize("package", sorted({path.parent for path in MODULES}), ids=lambda package: package.name)
def test_no_module_bears_the_name_of_a_function_that_its_package_exports(package):
    dotted = ".".join(package.relative_to(PACKAGE.parent).parts)
    exporting = importlib.import_module(dotted)
    clashes = []
    for name in exporting.__all__:
        if (package / f"{name}.py").exists() or (package / name).is_dir():
            module = importlib.import_module(f"{dotted}.{name}")
            clashes += [name] if getattr(exporting, name) is not module else []
    assert clashes == []


def test_files_are_short():
    long = {module_name(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 330}
    assert long == {}


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, qlstm; print([m for m in ('numpy', 'xarray', 'torch', 'numba', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    code = "import qlstm; [getattr(qlstm, name) for name in qlstm.__all__]; print(len(qlstm.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 15
