"""A stack of fifty users in three tiers on five models, for the replay of its usage."""

from decimal import Decimal

from config.settings import Settings

TIERS = {"free": ("10 per 2m", 0.005), "premium": ("100 per 2m", 0.008), "enterprise": ("1000 per 2m", 0.006)}
MODELS = ("small", "medium", "large", "coder", "embedder")
TEAMS = ("search", "assistant", "platform", "research", "support")
USERS = {
    f"user{number:02}": {
        "tier": [*TIERS][number % 3],
        "team": TEAMS[number % 5],
        "costCentre": str(4700 + number % 4),
    }
    for number in range(50)
}
REPLAYED = Settings.load(
    "replay",
    {
        "domain": "replay.example.com",
        "tiers": {
            name: {"level": level, "requests": requests, "tokens": "1000000 per 24h", "price": price}
            for level, (name, (requests, price)) in enumerate(TIERS.items())
        },
        "users": USERS,
        "models": {
            name: {
                "source": f"hf://example/{name}",
                "profile": "small-gpu",
                "priceFactor": str(Decimal(1) + Decimal(number) / 4),
            }
            for number, name in enumerate(MODELS)
        },
        "observability": {
            "interval": "1s",
            "budgets": {"everything": {"amount": 100000}, "search": {"amount": 20000, "team": "search"}},
        },
    },
)
