"""Rules of the house that no linter knows, read from the package's source."""

import ast
import re
from pathlib import Path

import pytest

import bootstrap_det

PACKAGE = Path(bootstrap_det.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
KERNELS = sorted((PACKAGE / "_kernels").glob("[!_]*.py"))
MAX_LINES = 500
TALKING = {"cli.py", "_console.py", "__main__.py"}  # files that may write to the terminal

every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
every_kernel = pytest.mark.parametrize("path", KERNELS, ids=lambda p: p.name)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def njit_decorators(tree):
    """Return the function and the decorator of everything that numba compiles."""
    return [
        (node, decorator)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if re.match(r"(numba\.)?(n?jit|vectorize|guvectorize)\b", ast.unparse(decorator))
    ]


def imported_modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_there_is_something_to_check():
    assert len(FILES) > 20
    assert len(KERNELS) >= 3


@every_file
def test_no_print_outside_the_command_line(path):
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if ast.unparse(call.func) == "print"]
    assert path.name in TALKING or not lines, f"print in line {lines}"


UNSAFE = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.unsafe_load",
    "yaml.full_load", "yaml.load_all", "joblib.load", "joblib.dump", "np.load", "np.fromfile",
    "numpy.load", "torch.load", "cv2.FileStorage",
}  # fmt: skip
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "code"}


@every_file
def test_nothing_that_is_read_can_run(path):
    """Files from strangers are numbers and texts: nothing is unpickled, nothing evaluated."""
    tree = tree_of(path)
    modules = {name.split(".")[0] for name in imported_modules(tree)}
    assert not modules & UNSAFE_MODULES
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        assert name not in UNSAFE, f"{name} in line {node.lineno}"
        if name == "yaml.load":
            assert "_Loader" in ast.unparse(node), f"line {node.lineno} has no loader of its own"
        for keyword in node.keywords:
            assert (keyword.arg, ast.unparse(keyword.value)) not in {
                ("allow_pickle", "True"), ("shell", "True"),
            }, f"line {node.lineno}"  # fmt: skip


def test_the_one_loader_of_yaml_makes_texts_lists_and_dicts_only():
    import yaml

    from bootstrap_det.data.formats.yolo_layout import _Loader

    assert issubclass(_Loader, yaml.BaseLoader)
    assert not issubclass(_Loader, yaml.constructor.FullConstructor)
    assert yaml.load("!!python/object/apply:os.getcwd []", _Loader) == []


@every_file
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@every_file
def test_no_absolute_paths_of_a_machine(path):
    pattern = r"(?<![\w./])/(home|root|Users|mnt|media|tmp|work|workspace|opt)/|[A-Z]:\\\\"
    assert re.findall(pattern, path.read_text(encoding="utf-8")) == []


@every_file
def test_compiled_code_lives_in_the_kernels(path):
    assert path.parent.name == "_kernels" or not njit_decorators(tree_of(path))


@every_kernel
def test_kernels_are_cached_release_the_gil_and_keep_float_rules(path):
    functions = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef)]
    compiled = njit_decorators(tree_of(path))
    assert len(compiled) == len(functions)
    for function, decorator in compiled:
        options = {k.arg: ast.unparse(k.value) for k in getattr(decorator, "keywords", [])}
        assert options.get("cache") == "True", f"{function.name} has no cache=True"
        assert options.get("nogil") == "True", f"{function.name} has no nogil=True"
        assert not options.keys() & {"fastmath", "parallel"}, function.name


@every_kernel
def test_kernels_import_nothing_but_numpy_and_numba(path):
    # Numba's cache does not see changes in other files.
    modules = {name.split(".")[0] for name in imported_modules(tree_of(path))}
    assert modules <= {"__future__", "math", "numba", "numpy"}


def public_definitions(tree):
    """Yield the public functions and classes of a module, and the public methods of those."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


@every_file
def test_public_things_have_docstrings(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    if path.name.startswith("_"):
        return  # nothing in it is public
    bare = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert bare == []


def test_all_names_that_the_package_exports_exist():
    for name in bootstrap_det.__all__:
        assert getattr(bootstrap_det, name).__doc__
    assert set(bootstrap_det.__all__) <= set(dir(bootstrap_det))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bootstrap_det.nothing
