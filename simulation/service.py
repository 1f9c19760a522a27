"""What is simulated: the objects that the program makes, and how callers reach the models with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Gate
from enforcement.objects import Object, World
from enforcement.request import Request
from enforcement.semantics import Semantics

CHAT = "/v1/chat/completions"
_NOWHERE = "http://unknown.invalid"
"""What is asked for a model that a stack does not have: no gateway listens for it, so it is answered with 404."""


@dataclass(frozen=True)
class Service:
    """One version of a stack."""

    objects: Sequence[Object]
    gateway: str
    """`<namespace>/<name>`."""
    kuadrant_namespace: str
    endpoints: Mapping[str, str]
    """URL by model."""
    users: Mapping[str, str]
    """Tier by user."""
    prices: Mapping[str, Decimal]
    """Price of one token by tier."""
    keys: Mapping[str, str]
    """API key by user: stand-ins, never real ones."""
    semantics: Semantics = field(default_factory=Semantics)

    def gate(self) -> Gate:
        """The gateway of this version, with empty counters."""
        world = World.of(self.objects, self.gateway, self.kuadrant_namespace)
        return Gate(world, Authorino(world.keys, self.kuadrant_namespace), Counters(), self.semantics)

    def request(self, user: str, model: str) -> Request:
        """A chat of a user with a model; without a credential for a user that has none."""
        url = urlsplit(self.endpoints.get(model, _NOWHERE))
        headers = {"content-type": "application/json"}
        if user in self.keys:
            headers["authorization"] = f"Bearer {self.keys[user]}"
        return Request("POST", url.netloc, url.path.rstrip("/") + CHAT, headers, scheme=url.scheme)

    def price(self, user: str) -> Decimal:
        """What one token of a user costs."""
        return self.prices.get(self.users.get(user, ""), Decimal(0))
