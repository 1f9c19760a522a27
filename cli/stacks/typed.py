"""Values of a stack file that are typed on a command line."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from cli.exits import Exit, MaasError


def typed(annotation: Any, text: str, where: str) -> str:  # noqa: ANN401 - a type
    """The value that a setting of this type would have.

    Args:
        annotation: Type of the setting, which refuses with a `RefusalError`.
        text: What was typed.
        where: The option, or another place that the user knows.

    Raises:
        MaasError: It is refused; says what is allowed.
    """
    try:
        return TypeAdapter(annotation).validate_python(text)
    except ValidationError as error:
        refusal = (error.errors()[0].get("ctx") or {}).get("error")
        allowed = getattr(refusal, "allowed", "")
        raise MaasError(f"{where} {text}: {refusal}; allowed: {allowed}", code=Exit.USAGE) from None
