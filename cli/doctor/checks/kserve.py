"""KServe's own settings: raw deployments behind our gateway, read by a controller that has started since."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from cli.doctor.case import Case, dig, kserve_settings_ref
from cli.doctor.findings import Finding, Level
from components.kserve import CONFIG_MAP, CONTROLLER, inferenceservice_settings
from components.models.pods import STORAGE_SECRETS, annotations
from config.models import Scheme
from config.platform import Profile
from sandbox.kube import reference


def settings(case: Case) -> Iterator[Finding]:
    """The keys that the stack sets have the stack's values."""
    namespace, what = case.settings.platform.kserve.namespace, kserve_settings_ref(case.settings)
    managed = any(each.is_patch and each.kind == "ConfigMap" for each in case.wanted)
    if not case.cluster.knows("v1", "ConfigMap") or ((managed or case.installs("kserve")) and not case.deployed):
        return
    found = case.cluster.get("v1", "ConfigMap", CONFIG_MAP, namespace)
    if found is None:
        message = "does not exist: KServe's controller does not start without it"
        yield Finding("kserve", Level.PROBLEM, what, message, "install KServe anew", symptom=True)
        return
    wrong = [
        difference
        for key, text in inferenceservice_settings(case.settings).items()
        for difference in _differences(key, json.loads(text), _parsed(dig(found, "data", key)))
    ]
    if wrong:
        fix = (
            "./maas up puts it right"
            if managed or case.installs("kserve")
            else "change it, or set maas:platform.kserve: {configure: true}"
        )
        yield Finding("kserve", Level.PROBLEM, what, f"differs from the stack: {'; '.join(wrong)}", fix)
    else:
        yield Finding("kserve", Level.OK, what, "raw deployments behind the stack's gateway")


def weights(case: Case) -> Iterator[Finding]:
    """KServe can fetch the weights of the stack's models: it mounts images, and reads the Secrets that models name."""
    found = case.cluster.get("v1", "ConfigMap", CONFIG_MAP, case.settings.platform.kserve.namespace)
    if found is None:
        return
    storage, credentials = (_parsed(dig(found, "data", key)) for key in ("storageInitializer", "credentials"))
    models = case.settings.models
    images = sorted(name for name, model in models.items() if model.scheme is Scheme.OCI)
    secret = sorted(name for name, model in models.items() if annotations(model))
    what, level = kserve_settings_ref(case.settings), Level.PROBLEM
    if images and storage is not None and not dig(storage, "enableModelcar"):
        message = f"storageInitializer.enableModelcar is off: {', '.join(images)} cannot be served from an image"
        yield Finding("kserve", level, what, message, "set it to true, and restart KServe's controller")
    user = dig(storage, "uidModelcar")
    if images and user is not None and case.settings.platform.profile is Profile.OPENSHIFT:
        message = (
            f"storageInitializer.uidModelcar is {user}, a user that OpenShift lets no pod of {', '.join(images)} be"
        )
        yield Finding("kserve", level, what, message, "take it out, and restart KServe's controller")
    annotation = dig(credentials, "storageSecretNameAnnotation")
    if secret and credentials is not None and annotation not in STORAGE_SECRETS:
        message = (
            f"credentials.storageSecretNameAnnotation is {annotation}: the Secret of {', '.join(secret)} is not read"
        )
        yield Finding("kserve", level, what, message, f"make it {STORAGE_SECRETS[0]}, and restart KServe's controller")


def controller(case: Case) -> Iterator[Finding]:
    """The controller reads its settings only when it starts: it carries the hash of those that it has read."""
    if not case.deployed:
        return
    for wanted in case.wanted:
        if not wanted.is_patch or wanted.metadata_name != CONTROLLER:
            continue
        found = case.live(wanted)
        path = ("spec", "template", "metadata", "annotations")
        mark = cast("Mapping[str, str]", dig(wanted.body, *path) or {})
        if found is not None and not mark.items() <= (dig(found, *path) or {}).items():
            what = reference("Deployment", CONTROLLER, wanted.namespace)
            message = "has not been restarted since its settings changed"
            yield Finding("kserve", Level.PROBLEM, what, message, "./maas up restarts it", symptom=True)


def _parsed(text: object) -> object:
    try:
        return cast("object", json.loads(str(text)))
    except ValueError:
        return None


def _differences(path: str, wanted: Any, actual: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(wanted, dict):
        for key, value in cast("dict[str, object]", wanted).items():
            yield from _differences(f"{path}.{key}", value, dig(actual, key))
    elif wanted != actual:
        yield f"{path} is {json.dumps(actual)}, not {json.dumps(wanted)}"
