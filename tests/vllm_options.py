"""Reads the option names of vLLM's server out of its wheel, without running or installing it.

How config/models/options/vllm.json is made, after VLLM_IMAGE of config/versions.py has changed, and vllm-rocm.json
after VLLM_ROCM_IMAGE, which is of another version:

    pip download vllm==<version> --no-deps --only-binary :all:
    .venv/bin/python -m tests.vllm_options vllm-<version>-*.whl [vllm-rocm]
"""

import ast
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cli.paths import ROOT

_FOLDER = ROOT / "config" / "models" / "options"
_FILES = ("vllm/entrypoints/openai/cli_args.py", "vllm/engine/arg_utils.py")
_FRONTEND = "FrontendArgs"
"""The dataclass each of whose fields is an option."""
_SWITCHES = {"bool", "bool | None", "Optional[bool]", "SkipValidation[bool]"}
"""Types of fields whose options have an opposite."""


def options(source: str) -> Iterator[str]:
    """The options that a module of vLLM defines: `add_argument` calls, and the fields of the frontend's dataclass."""
    switches: set[str] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == _FRONTEND:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    name = f"--{field.target.id.replace('_', '-')}"
                    yield name
                    if ast.unparse(field.annotation) in _SWITCHES:
                        switches.add(name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith("-"):
                    yield str(argument.value)
    # argparse.BooleanOptionalAction: each switch has its opposite.
    yield from (f"--no-{name.removeprefix('--')}" for name in switches)


def opposites(source: str, configs: str) -> Iterator[str]:
    """The `--no-` forms of options whose definition comes from a dataclass field that is a bool."""
    booleans = {
        field.target.id
        for node in ast.walk(ast.parse(configs))
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and ast.unparse(field.annotation) in _SWITCHES
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            fields = {
                str(each.slice.value)
                for keyword in node.keywords
                if keyword.arg is None
                for each in ast.walk(keyword.value)
                if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant)
            }
            if fields & booleans:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield f"--no-{str(first.value).removeprefix('--')}"


def main(wheel: Path, name: str = "vllm") -> None:
    """Write the list of that name."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode("utf-8") for name in _FILES}
        configs = "\n".join(
            archive.read(name).decode("utf-8")
            for name in sorted(names)
            if name.startswith("vllm/config/") and name.endswith(".py")
        )
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        version = next(
            line.removeprefix("Version: ")
            for line in archive.read(metadata).decode("utf-8").splitlines()
            if line.startswith("Version: ")
        )
    found = {option for text in texts.values() for option in options(text)}
    found |= set(opposites(texts[_FILES[1]], configs.replace("from __future__ import annotations", "")))
    content = {
        "program": "vllm.entrypoints.openai.api_server",
        "version": version,
        "source": f"the argument parser in vLLM's wheel {version} ({', '.join(_FILES)}), by tests/vllm_options.py",
        "options": sorted(found),
    }
    (_FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
