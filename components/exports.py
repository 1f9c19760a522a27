"""What the stack tells to whoever asks for its outputs. No secret is among it."""

from typing import Any

from components.gateway import model_url
from components.identity import key_names
from config.gateway import Expose, Termination, TlsMode
from config.settings import Settings


def exports(settings: Settings) -> dict[str, Any]:
    """The stack's outputs by name."""
    keys_in = settings.platform.kuadrant.namespace
    return {
        "gateway": {
            "namespace": settings.platform.namespace,
            "name": settings.gateway.name,
            **_own_authority(settings),
        },
        "endpoints": {name: model_url(settings, name) for name in sorted(settings.models)},
        "models": {
            name: {
                "servedName": settings.served_name(name),
                "runtime": model.runtime.value,
                "source": model.source,
                "gpus": model.gpu.count if model.gpu else 0,
                "priceFactor": str(model.price_factor),
            }
            for name, model in sorted(settings.models.items())
        },
        "tiers": {
            name: {
                "level": tier.level,
                "requests": tier.requests.short,
                "tokens": tier.tokens.short,
                "price": str(tier.price),
            }
            for name, tier in sorted(settings.tiers.items())
        },
        "users": {
            name: {
                "tier": user.tier,
                "keySecret": next((f"{keys_in}/{secret}" for secret in key_names(settings, name)), None),
            }
            for name, user in sorted(settings.users.items())
        },
    }


def _own_authority(settings: Settings) -> dict[str, str]:
    """The Secret whose ca.crt callers have to trust; nothing where somebody else's certificate is what they see."""
    gateway = settings.gateway
    ends_here = gateway.exposure_on(settings.platform.profile) is not Expose.ROUTE or (
        gateway.route.termination is Termination.PASSTHROUGH
    )
    if gateway.tls.mode is not TlsMode.SELF_SIGNED or not ends_here:
        return {}
    return {"caSecret": f"{settings.platform.namespace}/{gateway.certificate_secret}"}
