"""An inventory as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json): the same inventory is the same text."""

import json
import uuid
from typing import Any

from packageurl import PackageURL

from cli.sbom.inventory import Chart, Image, Inventory, Module, Package, Program
from cli.sbom.licences import ONLY_BESIDE

Component = dict[str, Any]
_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""The name space of URLs (RFC 9562)."""


def document(found: Inventory, stack: str, version: str) -> str:
    """The bill of materials, without a time, so that what has not changed does not look as if it had.

    Args:
        found: what there is.
        stack: whose images and charts these are.
        version: of this project.
    """
    root: Component = {"bom-ref": "maas", "type": "application", "name": "maas", "version": version}
    modules = {each: _module(each) for program in found.programs for each in program.modules}
    programs = {_ref(made): program for program in found.programs if (made := _program(program))}
    direct = [
        *map(_package, found.packages),
        *map(_image, found.images),
        *map(_chart, found.charts),
        *map(_program, found.programs),
    ]
    depends = {"maas": sorted(map(_ref, direct))}
    depends |= {name: sorted(_ref(modules[each]) for each in program.modules) for name, program in programs.items()}
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root, **_properties(stack=stack)},
        "components": sorted([*direct, *modules.values()], key=_ref),
        "dependencies": [{"ref": name, "dependsOn": names} for name, names in sorted(depends.items())],
    }
    serial = uuid.uuid5(_SPACE, json.dumps(content, sort_keys=True)).urn
    return json.dumps({**content, "serialNumber": serial}, indent=2, sort_keys=True) + "\n"


def _package(package: Package) -> Component:
    return {
        "type": "library",
        "bom-ref": f"pypi:{package.name}@{package.version}",
        "name": package.name,
        "version": package.version,
        "purl": _purl("pypi", package.name.lower().replace("_", "-"), package.version),
        "scope": "excluded" if package.name in ONLY_BESIDE else "required",
        "hashes": [{"alg": "SHA-256", "content": each} for each in sorted(package.hashes)],
        **({"licenses": [{"expression": package.licence}]} if package.licence else {}),
    }


def _program(program: Program) -> Component:
    version = program.family.module_version or program.family.version
    return {
        "type": "application",
        "bom-ref": f"tools:{program.family.name}",
        "name": program.family.name,
        "version": program.family.version,
        "purl": _golang(program.module, version),
        **_properties(tools=", ".join(program.tools)),
    }


def _module(module: Module) -> Component:
    return {
        "type": "library",
        "bom-ref": f"golang:{module.path}@{module.version}",
        "name": module.path,
        "version": module.version,
        "purl": _golang(module.path, module.version),
        **(_properties(**{"go.sum": module.sum}) if module.sum else {}),
    }


def _image(image: Image) -> Component:
    place = {"repository_url": image.name} | ({"tag": image.tag} if image.tag else {})
    algorithm, _, content = image.digest.partition(":")
    return {
        "type": "container",
        "bom-ref": f"image:{image.name}:{image.tag}@{image.digest}",
        "name": image.name,
        "version": image.tag or image.digest,
        "purl": _purl("oci", image.name.rpartition("/")[2], image.digest, place),
        **({"hashes": [{"alg": "SHA-256", "content": content}]} if algorithm == "sha256" else {}),
        **_properties(**{"pinned-by": "digest" if image.digest else "tag"}),
    }


def _chart(chart: Chart) -> Component:
    return {
        "type": "file",
        "bom-ref": f"chart:{chart.place}:{chart.name}",
        "name": chart.name,
        "version": chart.version,
        "purl": _purl("helm", chart.name, chart.version, {"repository_url": chart.place}),
    }


def _purl(kind: str, name: str, version: str, qualifiers: dict[str, str] | None = None) -> str:
    return PackageURL(kind, None, name, version or None, qualifiers or {}).to_string()


def _golang(path: str, version: str) -> str:
    namespace, _, name = path.lower().rpartition("/")
    return PackageURL("golang", namespace or None, name, version).to_string()


def _properties(**values: str) -> dict[str, Any]:
    return {"properties": [{"name": f"maas:{name}", "value": value} for name, value in values.items()]}


def _ref(component: Component) -> str:
    return str(component["bom-ref"])
