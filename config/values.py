"""The small words of the configuration: names, windows, rates, time limits. One rule each, used everywhere."""

import re
from typing import Annotated, Self, cast

from pydantic import AfterValidator, ConfigDict, Field, RootModel, model_validator

from config.figures import NEVER_REACHED
from config.model import Model
from config.problems import RefusalError

# Kuadrant's Duration, from the CRDs of RateLimitPolicy v1 and TokenRateLimitPolicy v1alpha1 (Kuadrant 1.3 to 1.5).
KUADRANT_WINDOW = re.compile(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")
_PARTS = re.compile(r"([0-9]+)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# Units people write, that Kuadrant's CRD refuses: in hours, or as the unit it has.
_FOREIGN_UNITS = {
    "d": 24, "day": 24, "days": 24,
    "w": 168, "week": 168, "weeks": 168,
    "mo": 720, "month": 720, "months": 720,
    "y": 8760, "year": 8760, "years": 8760,
}  # fmt: skip
_LONG_UNITS = {
    "second": "s", "seconds": "s", "sec": "s", "secs": "s",
    "minute": "m", "minutes": "m", "min": "m", "mins": "m",
    "hour": "h", "hours": "h", "hr": "h", "hrs": "h",
}  # fmt: skip
_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_DNS_LABEL_LONGEST = 63
_WINDOW_ALLOWED = "whole numbers with h, m or s, such as 30s, 2m, 24h, 720h"


def window_seconds(window: str) -> int:
    """The window's length as Limitador counts it: whole seconds, fractions cut off."""
    return int(sum(int(number) * _SECONDS[unit] for number, unit in _PARTS.findall(window)))


def _window(value: str) -> str:
    if not KUADRANT_WINDOW.fullmatch(value):
        raise RefusalError("not a window that Kuadrant accepts", allowed=_WINDOW_ALLOWED, fix=_likely_window(value))
    if window_seconds(value) < 1:
        raise RefusalError("shorter than a second, which Kuadrant cuts to zero", allowed=_WINDOW_ALLOWED, fix="1s")
    return value


def _likely_window(value: str) -> str:
    written = re.match(r"^\s*([0-9]*)\s*([a-zA-Z]+)\s*$", value)
    if not written:
        return "1m"
    number, unit = int(written[1] or 1), written[2].lower()
    if unit in _FOREIGN_UNITS:
        return f"{number * _FOREIGN_UNITS[unit]}h"
    return f"{number}{_LONG_UNITS.get(unit, unit if unit in _SECONDS else 'm')}"


def _dns_label(value: str) -> str:
    if len(value) > _DNS_LABEL_LONGEST or not _DNS_LABEL.fullmatch(value):
        raise RefusalError(
            "not a DNS label",
            allowed=f"a-z, 0-9 and '-', at most {_DNS_LABEL_LONGEST}, starting and ending with a letter or digit",
            fix=as_dns_label(value),
        )
    return value


def as_dns_label(value: str) -> str:
    """The DNS label nearest to what was written; empty when nothing of it can stay."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:_DNS_LABEL_LONGEST].rstrip("-")


def _domain(value: str) -> str:
    labels = value.split(".")
    longest_domain = 200  # leaves room for a model's own label below the 253 of a DNS name
    if (
        not all(_DNS_LABEL.fullmatch(label) and len(label) <= _DNS_LABEL_LONGEST for label in labels)
        or len(value) > longest_domain
    ):
        raise RefusalError(
            "not a domain name",
            allowed="DNS labels with dots between, no scheme, no port, no wildcard",
            fix=re.sub(r"^(https?://)?(\*\.)?", "", value.lower()).split("/")[0].split(":")[0],
        )
    return value


Window = Annotated[str, AfterValidator(_window)]
DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Domain = Annotated[str, AfterValidator(_domain)]

Duration = Window
"""A time limit: written like a rate-limit window, and read by Pulumi's custom timeouts in the same form."""

PORT_LAST = 65535
Port = Annotated[int, Field(strict=True, ge=1, le=PORT_LAST)]
"""A TCP port."""

_QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")
_QUANTITY_ALLOWED = "such as 500m, 2, 512Mi, 12Gi"


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise RefusalError("not a Kubernetes quantity", allowed=_QUANTITY_ALLOWED, fix=_likely_quantity(value))
    if amount(value) == 0:
        raise RefusalError("none at all", allowed=_QUANTITY_ALLOWED, fix="1")
    return value


def _likely_quantity(value: str) -> str:
    """What people mean by `12GB`, `12 GiB` or `12gi`."""
    written = re.match(r"^\s*([0-9.]+)\s*([kmgt])(i?)b?\s*$", value, re.IGNORECASE)
    fix = f"{written[1]}{written[2].upper()}{written[3].lower()}" if written else "2"
    return fix if _QUANTITY.fullmatch(fix) else "2"


Quantity = Annotated[str, AfterValidator(_quantity)]
"""An amount of CPU or memory as Kubernetes writes it."""

_UNITS = {"": 1.0, "m": 1e-3} | {
    unit: base**power
    for power, letter in enumerate("kMGT", start=1)
    for unit, base in ((letter, 1e3), (f"{letter.upper()}i", 1024.0))
}


def amount(quantity: str) -> float:
    """How much a quantity is, in cores or in bytes."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


_LABEL_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
_DNS_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")


def label_key(value: str) -> str:
    """The key of a label, unless Kubernetes would not take it.

    Raises:
        RefusalError: It would not.
    """
    prefix, slash, name = value.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not _DNS_NAME.fullmatch(prefix)):
        raise RefusalError(
            "not a key of a Kubernetes label",
            allowed="letters, digits and - _ . , at most 63, with or without a DNS name and / before",
            fix=re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"),
        )
    return value


def fits_a_label(value: object) -> bool:
    """Whether Kubernetes would take it as the value of a label."""
    return isinstance(value, str) and (not value or _LABEL_NAME.fullmatch(value) is not None)


def _label_value(value: str) -> str:
    if not fits_a_label(value):
        raise RefusalError(
            "not a value of a Kubernetes label",
            allowed="letters, digits and - _ . , at most 63, starting and ending with a letter or digit",
            fix=re.sub(r"[^A-Za-z0-9]+", "-", value).strip("-")[:63],
        )
    return value


LabelKey = Annotated[str, AfterValidator(label_key)]
"""The key of a label, a taint or a node selector."""
LabelValue = Annotated[str, AfterValidator(_label_value)]


def _extended_resource(value: str) -> str:
    prefix, _, name = value.partition("/")
    own = prefix == "kubernetes.io" or prefix.endswith(".kubernetes.io")
    if own or not _DNS_NAME.fullmatch(prefix) or not _LABEL_NAME.fullmatch(name):
        allowed = "<domain>/<name>, such as nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu"
        raise RefusalError("not an extended resource", allowed=allowed, fix="nvidia.com/gpu")
    return value


ExtendedResource = Annotated[str, AfterValidator(_extended_resource)]
"""What a device plugin offers."""


def _dns_name(value: str) -> str:
    if not _DNS_NAME.fullmatch(value):
        allowed = "a-z, 0-9, '-' and '.', starting and ending with a letter or digit"
        raise RefusalError("not a name that Kubernetes takes", allowed=allowed, fix=as_dns_label(value))
    return value


DnsName = Annotated[str, AfterValidator(_dns_name)]
"""The name of an object whose kind also takes dots."""

_IMAGE = re.compile(
    r"^(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        allowed = "<registry>/<name>:<tag>, with or without @sha256:<digest>"
        raise RefusalError("not the name of an image", allowed=allowed, fix="docker.io/vllm/vllm-openai:v0.11.0")
    return value


Image = Annotated[str, AfterValidator(_image)]
"""Where a container's image is."""

UNLIMITED = "unlimited"
_RATE = re.compile(r"^\s*([0-9][0-9_]*)\s+per\s+(\S+)\s*$")
_LIMIT_MOST = NEVER_REACHED - 1  # beyond it JSON numbers lose digits on the way to the cluster


class Rate(Model):
    """So many requests or tokens per fixed window. Limitador starts a window at the first hit after the last one."""

    limit: Annotated[int, Field(strict=True, gt=0, le=_LIMIT_MOST)]
    window: Window

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        """Read `5 per 2m` as `{limit: 5, window: 2m}`."""
        if not isinstance(value, str):
            return value
        match = _RATE.match(value)
        if not match:
            raise RefusalError(
                "not a rate", allowed='"<number> per <window>" or {limit: <number>, window: <window>}', fix="100 per 1m"
            )
        return {"limit": int(match[1].replace("_", "")), "window": match[2]}

    @property
    def seconds(self) -> int:
        """Length of the window in seconds."""
        return window_seconds(self.window)

    def __str__(self) -> str:
        """The short form."""
        return f"{self.limit} per {self.window}"


class Allowance(RootModel[tuple[Rate, ...]]):
    """What may be spent: one or more rates with different windows, or nothing at all in it for `unlimited`."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        if value is None:
            raise RefusalError("no limit is stated", allowed=_ALLOWANCE_ALLOWED, fix=UNLIMITED)
        if value == UNLIMITED:
            return ()
        if isinstance(value, str) and not _RATE.match(value):
            raise RefusalError("not a rate", allowed=_ALLOWANCE_ALLOWED, fix=_likely_allowance(value))
        if isinstance(value, list) and not value:
            raise RefusalError("an empty list limits nothing", allowed=_ALLOWANCE_ALLOWED, fix=UNLIMITED)
        return cast("object", value) if isinstance(value, list | tuple) else (value,)

    @model_validator(mode="after")
    def _different_windows(self) -> Self:
        seen: dict[int, Rate] = {}
        for rate in self.root:
            if rate.seconds in seen:
                # Limitador tells counters apart by window, not by limit: both rates would count in one counter.
                raise RefusalError(
                    f"two rates with one window clash: '{seen[rate.seconds]}' and '{rate}'",
                    allowed="one rate per window",
                    fix=str(min(seen[rate.seconds], rate, key=lambda each: each.limit)),
                )
            seen[rate.seconds] = rate
        return self

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The rates that hold together; empty when unlimited."""
        return self.root

    @property
    def short(self) -> list[str] | str:
        """The short form: `["5 per 2m"]`, or `unlimited`."""
        return [str(rate) for rate in self.root] or UNLIMITED


_ALLOWANCE_ALLOWED = f'"<number> per <window>", a list of those, or {UNLIMITED}'


def _likely_allowance(value: str) -> str:
    means_no_limit = value.lower().startswith(("unlim", "none", "inf", "no"))
    return UNLIMITED if means_no_limit else "100 per 1m"
