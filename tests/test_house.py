"""The rules of the house that a program can check; ruff and mypy check theirs."""

import ast
import re

from configs.schema import Recipe
from tests.source_tree import ROOMS, ROOT, Source, files, num_lines, sources

MAX_FUNCTION_LINES = 40
LONGER_FUNCTIONS = {"trainers/finetune.py": 80}  # the training loop, to be read top to bottom
MAX_POSITIONAL = 5

MAY_IMPORT = {
    "launcher": {"launcher", "cluster", "configs"},
    "cluster": {"cluster", "trainers", "configs"},
    "trainers": {"trainers", "configs"},
    "configs": {"configs"},
}
HOMES = {
    "click": "launcher",
    "rich": "launcher",
    "ray": "cluster",
    "torch": "trainers",
    "deepspeed": "trainers",
    "transformers": "trainers",
    "peft": "trainers",
    "torchmetrics": "trainers",
    "rouge_score": "trainers",
    "sacrebleu": "trainers",
    "safetensors": "trainers",
    "matplotlib": "trainers",
    "yaml": "configs",
}
BASES = {
    "BaseModel": "pydantic's way to make a section or a record",
    "DataParallelTrainer": "Ray Train's trainer; which helpers it starts is not a parameter",
    "Exception": "what can be raised",
    "UserWarning": "what can be warned of",
    "Protocol": "an interface",
    "NamedTuple": "a record without checks",
    "TypedDict": "the shape of a dict that a library hands over",
    "Group": "click finds its commands through a group",
    "Backend": "Ray Train asks it to start the process group",
    "BackendConfig": "Ray Train finds the backend through it",
    "Module": "torch finds the parts of a model through it",
    "SafeLoader": "PyYAML is configured by deriving",
    "SafeDumper": "PyYAML is configured by deriving",
}
PROCESS_EDGES = {
    "launcher/cli.py:run": "turns whatever a command raises into an exit code",
    "cluster/driver.py:carry_out": "turns whatever a job raises into the record of its end",
    "cluster/finetuning.py:finetune": "closes the run in its directory whatever ended it",
    "trainers/own_code.py:load_own": "turns whatever a person's module raises into a sentence",
    "trainers/own_code.py:call_own": "turns whatever a person's function raises into a sentence",
    "cluster/attempts.py:_fit": "hands what ends its thread to the one that waits for it",
}
"""File and function that may catch every exception, with the reason."""
WRITES_STDOUT = {"cluster/driver.py": "the job's log is its channel to the client"}
"""Files outside launcher that may write to stdout, with the reason."""
TESTED_ELSEWHERE = {
    "trainers/place.py": "a record without behaviour",
    "cluster/telltales.py": "the words that the tests of the causes go through",
}
"""Source files without a twin test, with the reason."""
BAD_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"}
MACHINE_PATHS = re.compile("|".join(f"/{top}/" for top in ("work", "home", "root", "Users", "opt")))
REGISTRIES = re.compile(r"\b(pypi|pythonhosted|npmjs|conda|anaconda)\.(org|com|io)\b", re.I)
PROMISES = re.compile(
    r"\b(TODO|FIXME|XXX|NotImplementedError)\b"
    r"|#\s*noqa(?!: [A-Z]+[0-9]+ - \w)"
    r"|type:\s*ignore(?!\[[a-z-]+\]  # \w)"
)
"""What is put off, or silenced without its code and a reason behind it."""


def places(problems: list[str]) -> str:
    return "\n".join(["", *problems])


def test_imports_go_right_only() -> None:
    problems = []
    for source in sources(*ROOMS):
        for line, name in source.imports():
            room = name.split(".")[0]
            if room in ROOMS and room not in MAY_IMPORT[source.room]:
                problems.append(f"{source.path}:{line} imports {name}")
            assert room not in ("tests", "benchmarks"), f"{source.path}:{line}"
    assert not problems, places(problems)


def test_each_library_has_one_home() -> None:
    problems = []
    for source in sources(*ROOMS):
        for line, name in source.imports():
            home = HOMES.get(name.split(".")[0], source.room)
            if home != source.room:
                problems.append(f"{source.path}:{line} imports {name}, at home in {home}")
    assert not problems, places(problems)


def test_only_launcher_prints() -> None:
    problems = []
    for source in sources("cluster", "trainers", "configs"):
        for line, name in source.calls():
            writes = name == "print" or name in ("sys.stdout.write", "sys.stderr.write")
            if writes and source.path not in WRITES_STDOUT:
                problems.append(f"{source.path}:{line} {name}")
    assert not problems, places(problems)


def test_functions_are_short() -> None:
    problems = []
    for source in sources():
        allowed = LONGER_FUNCTIONS.get(source.path, MAX_FUNCTION_LINES)
        for function in source.functions():
            if num_lines(function) > allowed:
                problems.append(f"{source.path} {function.name} has {num_lines(function)} lines")
    assert not problems, places(problems)


def test_functions_take_at_most_five_positional_parameters() -> None:
    problems = []
    for source in sources(*ROOMS):
        for function in source.functions():
            is_command = any("command" in ast.unparse(d) for d in function.decorator_list)
            taken = [a.arg for a in function.args.posonlyargs + function.args.args]
            num_taken = len([name for name in taken if name not in ("self", "cls")])
            if num_taken > MAX_POSITIONAL and not is_command:
                problems.append(f"{source.path} {function.name} takes {num_taken}")
    assert not problems, places(problems)


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    caught = "" if handler.type is None else ast.unparse(handler.type)
    words = set(re.findall(r"\w+", caught))
    last = handler.body[-1]
    raises_again = isinstance(last, ast.Raise) and last.exc is None
    return (not caught or bool({"Exception", "BaseException"} & words)) and not raises_again


def test_everything_is_caught_at_process_edges_only() -> None:
    problems = []
    for source in sources(*ROOMS):
        for function in source.functions():
            handlers = [n for n in ast.walk(function) if isinstance(n, ast.ExceptHandler)]
            edge = f"{source.path}:{function.name}"
            if any(map(swallows_everything, handlers)) and edge not in PROCESS_EDGES:
                problems.append(edge)
    assert not problems, places(problems)


def test_names_say_what_things_are() -> None:
    problems = []
    for source in sources():
        words = set(re.split(r"[/_.]", source.path))
        words |= {w.lower() for c in source.classes() for w in re.findall(r"[A-Z][a-z]+", c.name)}
        problems += [f"{source.path} {word}" for word in words & BAD_NAMES]
    assert not problems, places(problems)


def public(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return not node.name.startswith("_")


def undocumented(source: Source) -> list[str]:
    if not source.tree.body:
        return []
    missing = [] if ast.get_docstring(source.tree) else [f"{source.path} has no docstring"]
    if source.room in ROOMS:
        nodes = [
            node for node in source.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        missing += [
            f"{source.path}:{node.lineno} {node.name} has no docstring"
            for node in nodes
            if public(node) and not ast.get_docstring(node)
        ]
    return missing


def test_modules_and_public_names_have_docstrings() -> None:
    problems = [problem for source in sources() for problem in undocumented(source)]
    assert not problems, places(problems)


def test_every_key_of_a_recipe_has_its_sentence() -> None:
    problems = []
    for section in (Recipe, *(f.annotation for f in Recipe.model_fields.values())):
        for name, field in getattr(section, "model_fields", {}).items():
            if not (field.description or "").rstrip().endswith("."):
                problems.append(f"{section.__name__}.{name}")
    assert not problems, places(problems)


def test_nothing_is_inherited_but_from_frameworks() -> None:
    problems = []
    for source in sources(*ROOMS):
        for node in source.classes():
            for base in node.bases:
                name = ast.unparse(base).split("[")[0].split(".")[-1]
                if name not in BASES:
                    problems.append(f"{source.path}:{node.lineno} {node.name}({name})")
    assert not problems, places(problems)


def test_every_file_is_ascii_and_names_no_machine() -> None:
    problems = []
    for path in files():
        content = (ROOT / path).read_bytes()
        if not content.isascii():
            problems.append(f"{path} is not ASCII")
        text = content.decode("utf-8", errors="replace")
        for found in (*MACHINE_PATHS.finditer(text), *REGISTRIES.finditer(text)):
            line = text.count("\n", 0, found.start()) + 1
            problems.append(f"{path}:{line} names {found.group()}")
    assert not problems, places(problems)


def test_nothing_is_promised_or_silenced() -> None:
    problems = []
    for source in sources(*ROOMS, "benchmarks"):
        for number, line in enumerate(source.text.splitlines(), 1):
            if PROMISES.search(line):
                problems.append(f"{source.path}:{number} {line.strip()}")
    assert not problems, places(problems)


def twins(source: Source) -> list[str]:
    start = f"tests/{source.path.removesuffix(f'{source.stem}.py')}test_{source.stem}"
    paths = (path.as_posix() for path in files() if path.suffix == ".py")
    return [path for path in paths if path.startswith(start)]


def test_every_source_file_has_a_twin_test() -> None:
    problems = []
    for source in sources(*ROOMS):
        if source.stem != "__init__" and source.path not in TESTED_ELSEWHERE and not twins(source):
            problems.append(source.path)
    assert not problems, places(problems)


def test_every_test_in_a_room_has_a_source_file() -> None:
    known = {twin for source in sources(*ROOMS) for twin in twins(source)}
    tests = (path.as_posix() for path in files() if path.parts[0] == "tests")
    in_rooms = [path for path in tests if path.split("/")[1] in ROOMS and "/test_" in path]
    assert not [path for path in in_rooms if path not in known]


def test_no_exception_to_a_rule_is_left_over() -> None:
    paths = {path.as_posix() for path in files()}
    named = [*LONGER_FUNCTIONS, *WRITES_STDOUT, *TESTED_ELSEWHERE]
    named += [edge.split(":")[0] for edge in PROCESS_EDGES]
    assert not [path for path in named if path not in paths]
