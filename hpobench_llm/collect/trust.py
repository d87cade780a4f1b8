"""Which code of others a collection may run: none, unless the caller says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    """`generated_code`: scores may run programs that the model wrote, shut in by the system.

    `without_isolation`: also where the system cannot shut them in. `task_code`: task files of
    one's own may name Python functions (`!function`), which are imported and called.
    """

    generated_code: bool = False
    without_isolation: bool = False
    task_code: bool = False


NONE = Trust()
