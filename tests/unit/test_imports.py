"""What is imported, by whom: the floors of the house, one owner for each library, and no torch."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import alknet_firewall

PACKAGE = Path(alknet_firewall.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in PACKAGE.rglob("*.py")
}
FACES = {"alknet_firewall", "alknet_firewall.__main__"}
"""The package's front and its two-line program stand outside the floors."""

OWNERS = {
    "onnxruntime": {"sessions"},
    "tokenizers": {"tokenizer"},
    "safetensors": {"tensors"},
    "huggingface_hub": {"hub", "refusals", "cli.doctor"},
    "sklearn": {"calibration", "classifier", "fit"},
    "torch": {"parity", "adapter"},
    "transformers": {"parity"},
    "click": {"cli"},
    "matplotlib": {"plots"},
}
"""Which modules, or packages, may import a library; nobody may import what is in FORBIDDEN."""

FORBIDDEN = {"optimum", "onnx", "peft", "scipy", "pandas", "pickle", "export"}
HEAVY = ("torch", "transformers", "optimum", "onnx", "sklearn", "scipy", "matplotlib")


def tree_of(module):
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


def floor_of(module):
    """The floor that the module's docstring states, or that of the package it lies in."""
    own = re.search(r"\(floor (\d)", ast.get_docstring(tree_of(module)) or "")
    if own:
        return int(own.group(1))
    parent = module.rpartition(".")[0]
    return floor_of(parent) if parent not in FACES else None


def imports_of(tree):
    """Names of the modules that a piece of code imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in SOURCES else node.module


def run(program, *arguments, **environment):
    """Output of a Python program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", sorted(set(SOURCES) - FACES))
def test_a_module_states_its_floor_and_imports_only_from_there_or_below(module):
    floor = floor_of(module)
    assert floor is not None, f"the docstring of {module} does not say '(floor N'"
    ours = {name for name in imports_of(tree_of(module)) if name in SOURCES and name not in FACES}
    assert {name: floor_of(name) for name in ours if floor_of(name) > floor} == {}


def test_the_front_imports_only_the_ground_floor_until_more_is_asked_for():
    eager = [node for node in tree_of("alknet_firewall").body if isinstance(node, (ast.Import, ast.ImportFrom))]
    ours = {name for node in eager for name in imports_of(node) if name in SOURCES}
    assert {name: floor_of(name) for name in ours if floor_of(name) != 0} == {}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_a_library_is_imported_by_its_owner_only(module):
    short = module.removeprefix("alknet_firewall.")
    libraries = {name.partition(".")[0] for name in imports_of(tree_of(module))}
    assert libraries & FORBIDDEN == set()
    strangers = {
        library
        for library in libraries & OWNERS.keys()
        if not any(short == owner or short.startswith(f"{owner}.") for owner in OWNERS[library])
    }
    assert strangers == set()


def test_all_names_what_is_public():
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree_of("alknet_firewall"))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("alknet_firewall")
        for alias in node.names
    }
    assert set(alknet_firewall.__all__) == imported | {"__version__"}
    assert list(alknet_firewall.__all__) == sorted(alknet_firewall.__all__)


@pytest.mark.parametrize("name", alknet_firewall.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(alknet_firewall, name) is not None
    assert name in dir(alknet_firewall)


def test_an_unknown_name_is_the_usual_error():
    with pytest.raises(AttributeError, match="has no attribute 'Firewal'"):
        alknet_firewall.Firewal  # noqa: B018


IMPORT = """
import json, sys
before = set(sys.modules)
from alknet_firewall import AlknetFirewallError, Verdict
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_errors_and_verdicts_alone_load_no_library():
    loaded = set(run(IMPORT))
    assert "alknet_firewall" in loaded
    assert loaded & {"numpy", "onnxruntime", "tokenizers", "safetensors", "huggingface_hub", "click", *HEAVY} == set()


EVERY_MODULE = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


ON_DEMAND = {"alknet_firewall.__main__", "alknet_firewall.classifier"}
"""A program, and a class that inherits from scikit-learn's, which the front imports when it is asked for."""


def test_no_module_loads_a_heavy_library_when_it_is_imported():
    """They wait inside the functions that need them."""
    assert set(run(EVERY_MODULE, *sorted(SOURCES.keys() - ON_DEMAND))) & set(HEAVY) == set()


def test_only_the_front_imports_what_loads_scikit_learn():
    assert {module for module in SOURCES if "alknet_firewall.classifier" in imports_of(tree_of(module))} == {"alknet_firewall"}


SCAN = """
import json, sys

class Watch:
    tried = set()

    def find_spec(self, name, path=None, target=None):
        self.tried.add(name.partition(".")[0])

sys.meta_path.insert(0, Watch())
from alknet_firewall import Firewall
firewall = Firewall.from_pretrained()
firewall.scan("Could you tell me when the next tram leaves?")
firewall.scan_batch(["A long page about trams. " * 100], "content")
print(json.dumps({"tried": sorted(Watch.tried), "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def test_a_scan_neither_loads_nor_looks_for_a_heavy_library():
    seen = run(SCAN)
    assert "onnxruntime" in seen["tried"]
    assert set(seen["tried"]) & set(HEAVY) == set()
    assert set(seen["loaded"]) & set(HEAVY) == set()


TRACES = """
import json, sys
from pathlib import Path

def refuse(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(event)

sys.addaudithook(refuse)
from alknet_firewall import Firewall
Firewall.from_pretrained(threads=1).scan("Could you tell me when the next tram leaves?")
print(json.dumps([str(path) for path in Path(sys.argv[1]).rglob("*") if path.is_file()]))
"""


def test_a_scan_opens_no_socket_and_leaves_nothing_in_the_users_home(tmp_path):
    """ONNX Runtime 1.31 would keep usage events in the user's cache, and upload them."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "HF_HOME")}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "USERPROFILE": str(tmp_path)}
    assert run(TRACES, str(tmp_path), env={**kept, **home}) == []
