"""Where traffic comes from: a trace in a file, or a short text that it is made up from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.exits import Exit, MaasError
from cli.paths import of_user
from simulation.generated import EXAMPLE, Recipe, recipe, traffic
from simulation.traffic import Ask, read


@dataclass(frozen=True)
class Source:
    """Requests, as often as they are needed."""

    path: Path | None
    recipe: Recipe | None

    @classmethod
    def of(cls, text: str) -> "Source":
        """What a user wrote: a file's name, or traffic to make up.

        Raises:
            MaasError: It is neither.
            TrafficError: It is meant to be made up, and a part is not understood.
        """
        path = of_user(Path(text))
        if path.is_file():
            return cls(path, None)
        if ":" in text and " per " in text:
            return cls(None, recipe(text))
        raise MaasError(
            f"{text}: there is no such file, and it is no generated traffic either, such as: {EXAMPLE}",
            code=Exit.USAGE,
        )

    @property
    def added(self) -> Mapping[str, str]:
        """Users that the text adds to those of the stack, with their tiers."""
        return self.recipe.added_users() if self.recipe else {}

    def asks(self, users: Mapping[str, str], models: Sequence[str]) -> Iterator[Ask]:
        """The requests, in order.

        Args:
            users: tiers by user.
            models: those of the stack.

        Raises:
            TrafficError: The trace cannot be read, or the text does not fit the stack.
        """
        if self.recipe is not None:
            return traffic(self.recipe, users, models)
        assert self.path is not None  # noqa: S101 - one of the two
        return read(self.path)
