"""The house rules, checked over every file: layers, purity, sizes, docstrings, words that must not be there."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config import Config
from server.prime import MODULES
from server.settings import SETTINGS, to_toml

ROOT = Path(__file__).parents[1]
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 80
LAYERS = ("sim", "twin", "world", "net")  # each may import itself and those before it
LEAVES = {"server", "server.config", "server.clock"}
PURE = ("server/sim", "server/twin", "server/world")
READERS = {"server/world/rooms.py", "server/twin/feed.py", "server/twin/recordings.py"}  # read files an operator names
IMPURE_MODULES = {"time", "zmq", "logging", "structlog", "socket", "asyncio", "threading", "random", "secrets", "uuid"}
ZMQ_HOLDERS = {"server/net/transport.py", "server/net/edgewire.py", "server/net/zap.py", "server/net/keys.py",
               "server/net/question.py", "server/net/zmq_calls.py", "server/ledger/process.py",
               "server/ledger/link.py"}  # fmt: skip
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
MACHINE = re.compile(r"/(?:work|home/\w+|root|Users/\w+|tmp/asclepion)/|https?://(?:registry\.|pypi\.|files\.python)")
HIDDEN = {"tests/test_tidy.py"}  # spells the forbidden words out


def tracked() -> list[str]:
    """Every file that is, or is about to be, part of the project."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return [
            p.relative_to(ROOT).as_posix() for top in ("server", "tools", "tests") for p in (ROOT / top).rglob("*.py")
        ]
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


FILES = tracked()
SERVER = sorted(name for name in FILES if name.startswith("server/") and name.endswith(".py"))
PYTHON = sorted(name for name in FILES if name.endswith(".py"))
TREES = {name: ast.parse((ROOT / name).read_text(), name) for name in PYTHON}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str) -> Iterator[str]:
    """Full names of the modules a file imports, at any depth; `from a import b` gives a.b where that is a module."""
    modules = {module_name(name) for name in PYTHON}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else str(node.module)


def part(module: str) -> str:
    """The folder of server a module is in; "" for those beside the folders."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 and (ROOT / "server" / pieces[1]).is_dir() else ""


def functions(path: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", [name for name in SERVER if part(module_name(name)) in LAYERS])
def test_layers_import_one_way(path):
    own = LAYERS.index(part(module_name(path)))
    for name in imports(path):
        if name.split(".")[0] != "server" or name in LEAVES:
            assert name.split(".")[0] not in ("tools", "tests"), f"{path} imports {name}"
            continue
        assert part(name) in LAYERS[: own + 1], f"{path} imports {name}"


@pytest.mark.parametrize("path", [name for name in SERVER if name.startswith("server/ledger/")])
def test_the_ledger_imports_nothing_of_ours(path):
    ours = {name for name in imports(path) if name.split(".")[0] in ("server", "tools", "tests")} - LEAVES
    allowed = set() if path.endswith("/verify.py") else {name for name in ours if name.startswith("server.ledger")}
    assert ours <= allowed


@pytest.mark.parametrize("path", [name for name in SERVER if name.startswith("server/edge/")])
def test_the_edge_imports_no_world(path):
    for name in imports(path):
        if name.startswith("server.") and name not in LEAVES:
            assert part(name) in ("edge", "net", "ledger") or name in ("server.datadir", "server.twin.fhir"), name


@pytest.mark.parametrize("path", SERVER)
def test_sockets_are_opened_in_few_places(path):
    if "zmq" in {name.split(".")[0] for name in imports(path)}:
        assert path in ZMQ_HOLDERS


@pytest.mark.parametrize("path", [name for name in SERVER if name.startswith(PURE)])
def test_the_world_is_pure(path):
    found = {name.split(".")[0] for name in imports(path)} & IMPURE_MODULES
    assert not found or path in READERS, f"{path} imports {found}"
    if path not in READERS:
        calls = {n.func.id for n in ast.walk(TREES[path]) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not calls & {"open", "print", "input"}, path


@pytest.mark.parametrize("path", SERVER)
def test_only_the_clock_reads_time_in_the_world_and_the_wire(path):
    if part(module_name(path)) in (*LAYERS, "ledger"):
        assert "time" not in set(imports(path)) or path == "server/twin/feed.py"


@pytest.mark.parametrize("path", [name for name in PYTHON if name.startswith(("server/", "tools/"))])
def test_what_others_call_has_a_docstring(path):
    tree = TREES[path]
    assert ast.get_docstring(tree), f"{path} does not say what it owns"
    for node in tree.body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name}"


@pytest.mark.parametrize("path", PYTHON)
def test_modules_and_functions_are_short(path):
    lines = len((ROOT / path).read_text().splitlines())
    assert lines <= MODULE_LINES_MAX, f"{path} has {lines} lines"
    for node in functions(path):
        length = (node.end_lineno or 0) - node.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{path}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", [name for name in PYTHON if name not in HIDDEN])
def test_nothing_is_unfinished(path):
    assert not UNFINISHED.search((ROOT / path).read_text()), path


@pytest.mark.parametrize("path", PYTHON)
def test_errors_are_named_when_caught(path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}"
            assert not (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")), (
                f"{path}:{node.lineno}"
            )


@pytest.mark.parametrize("path", [name for name in PYTHON if name.startswith("tests/")])
def test_tests_neither_pretend_nor_sleep(path):
    assert not {name.split(".")[0] for name in imports(path)} & {"mock", "pytest_mock"}
    assert not {name for name in imports(path) if name.startswith("unittest")}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            raise AssertionError(f"{path}:{node.lineno} sleeps")


TEXTS = sorted(
    name for name in FILES if not name.endswith((".png", ".jpg", ".glb", ".bin", ".dat", ".wav", ".gz", ".br"))
)


@pytest.mark.parametrize("path", [name for name in TEXTS if name not in HIDDEN])
def test_no_file_names_this_machine_or_a_registry(path):
    try:
        text = (ROOT / path).read_text()
    except UnicodeDecodeError:
        return
    found = MACHINE.search(text)
    assert found is None, f"{path}: {found.group(0)}"
    if path.endswith("package-lock.json"):
        assert '"resolved"' not in text, f"{path} names addresses"


def test_every_module_with_kernels_to_prime_is_primed():
    have = {module_name(name) for name in SERVER if any(
        isinstance(node, ast.FunctionDef) and node.name == "prime" for node in TREES[name].body
    )} - {"server.__main__"}  # fmt: skip
    assert have == set(MODULES)


def test_every_setting_is_explained_in_the_sample():
    sample = to_toml(Config())
    for one in SETTINGS.values():
        name = one.name.removeprefix("limits.")
        assert re.search(rf"^{name} = .+  # \S.+ \({one.flag}, {one.variable}\)$", sample, re.MULTILINE), one.name


def test_lock_files_hold_versions_and_hashes_and_no_addresses():
    for path in sorted(ROOT.glob("requirements*.lock")):
        text = path.read_text()
        assert "://" not in text and "--find-links" not in text
        for block in re.split(r"\n(?=\S)", text):
            if re.match(r"[a-z0-9]", block):
                assert "==" in block and "--hash=sha256:" in block, block.splitlines()[0]
