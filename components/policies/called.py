"""What a request asks for, in CEL: which model, and which of its endpoints.

Authorino's own `request.url_path` is decoded (`/v1/chat%2Fcompletions` looks like `/v1/chat/completions` there) while
the filter's and the model's are not, so paths are read from `request.path`, which nobody decodes.
"""

from components.policies.cel import cel_choose, cel_let, cel_list, cel_map, cel_string
from components.routes import HEALTH_PATH, INFERENCE_PATHS, MODELS_PATH
from config.settings import Settings

INFERENCE, MODELS, HEALTH = "inference", "models", "health"
"""The kinds of endpoints; every other is refused."""

_PATH = 'request.path.split("?")[0]'
_HOST = 'request.host.split(":")[0].lowerAscii()'
# One model of the list can be asked for by name: `/v1/models/<organisation>/<model>`, never `..`.
_LISTING = f"^{MODELS_PATH}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"


def called_model(settings: Settings) -> str:
    """The model that a request names, by host or by path; empty where there is none of that name."""
    if not settings.models:
        return '""'
    if settings.routing.by_path:
        known = cel_list(sorted(settings.models))
        host = f"{settings.routing.host}.{settings.domain}"
        named = f'{_HOST} == {cel_string(host)} && size(parts) > 1 && parts[1] in {known} ? parts[1] : ""'
        return cel_let("parts", f'{_PATH}.split("/")', named)
    hosts = cel_map({settings.host(name): cel_string(name) for name in sorted(settings.models)})
    return cel_let("host", _HOST, cel_let("hosts", hosts, 'host in hosts ? hosts[host] : ""'))


def called_endpoint(settings: Settings) -> str:
    """The kind of endpoint that a request goes to; empty for what is not to be reached."""
    kinds = cel_choose(
        [
            (f'request.method == "POST" && path in {cel_list(INFERENCE_PATHS)}', cel_string(INFERENCE)),
            (f'request.method == "GET" && path.matches({cel_string(_LISTING)})', cel_string(MODELS)),
            (f'request.method == "GET" && path == {cel_string(HEALTH_PATH)}', cel_string(HEALTH)),
        ],
        '""',
    )
    return cel_let("path", _inner(settings), kinds)


def _inner(settings: Settings) -> str:
    """The path as the model sees it; empty where no model is named."""
    if not settings.routing.by_path:
        return _PATH
    parts = f'{_PATH}.split("/")'
    return cel_let("model", called_model(settings), f'model == "" ? "" : {_PATH}.substring(size({parts}[1]) + 1)')
