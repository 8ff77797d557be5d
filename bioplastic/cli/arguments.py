"""Arguments that commands share, and what is said of bad ones."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

File = Annotated[Path, Positional, arg(metavar="FILE", help_behavior_hint="")]
"""The recording, or the model, that a command looks at."""
Out = Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")]
"""Where a command writes to."""
Names = Annotated[tuple[str, ...] | None, arg(metavar="NAME ...", help_behavior_hint="")]
"""Parts of a model."""


class CommandError(ValueError):
    """A command that cannot do what it is told. The message says why, and what to do."""
