"""Why an authenticated caller is refused: rules in order, each with the answer that it gives."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.policies.cel import cel_choose, cel_list, cel_map, cel_string
from components.policies.identities import (
    ANONYMOUS,
    EXPIRED,
    NO_USER,
    WRONG_AUDIENCE,
    WRONG_CLIENT,
    WRONG_ISSUER,
)
from config.identity import IDENTITY_HEADERS
from config.settings import Settings

_TROUBLES: Mapping[str, str] = {
    EXPIRED: "This API key has expired.",
    NO_USER: "This credential names no user that can be told from others.",
    WRONG_ISSUER: "This token comes from another issuer.",
    WRONG_AUDIENCE: "This token was made for another service.",
    WRONG_CLIENT: "This token was made for an application that may not call this service.",
}


@dataclass(frozen=True)
class Refusal:
    """One rule: what has to hold, and what is said when it does not."""

    name: str
    predicate: str
    bodies: Sequence[tuple[str, str]]
    """Bodies by condition; the first whose condition holds is sent, or else the last."""

    @property
    def body(self) -> str:
        """CEL for what is sent."""
        *some, (_, last) = self.bodies
        return cel_choose(((condition, cel_string(body)) for condition, body in some), cel_string(last))


def error_body(code: str, message: str, kind: str = "invalid_request_error") -> str:
    """An error in the shape that OpenAI's clients understand."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def refusals(settings: Settings) -> list[Refusal]:
    """Every rule, in the order in which the first that does not hold is told. None of them can fail to evaluate."""
    known = cel_list(sorted(settings.tiers))
    for_tiers = cel_map(
        {
            name: cel_list(sorted(model.tiers))
            for name, model in sorted(settings.models.items())
            if model.tiers is not None
        }
    )
    anonymous = f"auth.identity.source == {cel_string(ANONYMOUS)}"
    return [
        _one(
            "no-forged-identity",
            f"!request.headers.exists(h, h.startsWith({cel_string(IDENTITY_HEADERS)}))",
            "forged_identity",
            f"Headers that begin with {IDENTITY_HEADERS} are set by the gateway only.",
        ),
        Refusal(
            "good-credential",
            'auth.identity.trouble == ""',
            [
                (f"auth.identity.trouble == {cel_string(code)}", error_body(code, says))
                for code, says in _TROUBLES.items()
            ],
        ),
        _one("known-model", 'auth.identity.model != ""', "unknown_model", "There is no model at this address."),
        _one(
            "known-endpoint",
            'auth.identity.endpoint != ""',
            "unknown_endpoint",
            "Models have chat completions, completions, embeddings and the list of models here, and nothing else.",
        ),
        _one(
            "has-a-tier",
            f"{anonymous} || auth.identity.tier in {known}",
            "no_tier",
            "This credential belongs to no tier that may use this service.",
        ),
        _one(
            "model-is-for-the-tier",
            f"{anonymous} || !(auth.identity.model in {for_tiers}) || "
            f"auth.identity.tier in {for_tiers}[auth.identity.model]",
            "model_not_in_tier",
            "This model is not offered to your tier.",
        ),
        _one(
            "user-may-call-the-model",
            f"{anonymous} || size(auth.identity.models) == 0 || auth.identity.model in auth.identity.models",
            "model_not_allowed",
            "This credential may not call this model.",
        ),
    ]


def refusal_body(rules: Sequence[Refusal]) -> str:
    """CEL for the body of a refusal: that of the first rule that does not hold."""
    cases = [(f"!({rule.predicate})", rule.body) for rule in rules]
    return cel_choose(cases, cel_string(error_body("forbidden", "This is not allowed.")))


def authorization(rules: Sequence[Refusal]) -> dict[str, Any]:
    """The rules as Authorino takes them; all have to hold, and what cannot be evaluated does not."""
    return {rule.name: {"patternMatching": {"patterns": [{"predicate": rule.predicate}]}} for rule in rules}


def _one(name: str, predicate: str, code: str, message: str) -> Refusal:
    return Refusal(name, predicate, [("true", error_body(code, message))])
