"""The licences of the Python packages, as SPDX names them, and which of them are taken."""

from importlib.metadata import Distribution

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
    }
)
"""Permissive ones, and MPL-2.0, which asks for changed files of its own only. None asks anything of what uses it."""

ONLY_BESIDE = {"yamllint": "GPL-3.0-or-later"}
"""Programs that are run while somebody works on this project, and are no part of what it gives out or deploys."""

_BY_HAND = {"promql-parser": "MIT"}
"""Where the package's metadata say nothing; from its repository's licence file."""

# What packages write that have no SPDX expression in their metadata.
_SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
_LONGEST_NAME = 40


def licence_of(distribution: Distribution) -> str:
    """The SPDX expression of an installed package's licence; empty where it says none that is understood."""
    fields = distribution.metadata.json
    if expression := fields.get("license_expression"):
        return str(expression)
    name = str(fields["name"]).lower()
    if name in _BY_HAND:
        return _BY_HAND[name]
    classifiers = [str(each) for each in fields.get("classifier", [])]
    said = [str(fields.get("license", ""))]
    said += [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return next((found for each in said if (found := _spdx(each))), "")


def _spdx(text: str) -> str:
    """A licence's name by SPDX; empty for whole texts and for names that are not known here."""
    text = text.strip()
    if not text or len(text) > _LONGEST_NAME or "\n" in text:
        return ""
    parts = text.replace("(", "").replace(")", "").replace(" AND ", " OR ").split(" OR ")
    if all(part in ALLOWED for part in parts):
        return text
    return _SPELLINGS.get(text.lower(), "")
