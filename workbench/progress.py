"""A bar for work that takes longer than a breath, in a terminal and in a notebook."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "shown"]

Progress = Callable[[str, int, int], None]  # which part, steps done, steps in all


@contextmanager
def shown(what: str) -> Iterator[Progress]:
    """A bar while the body runs; the body calls what it is given with (which part, steps done, steps in all).

    >>> with shown("distilling") as progress:
    ...     progress("blocks.1.0", 300, 300)  # doctest: +ELLIPSIS
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    # A notebook gets messages for every refresh; of more than a thousand that nobody has read yet, some are lost.
    with Bar(console=console, transient=True, refresh_per_second=1 if console.is_jupyter else 3) as bar:
        task = bar.add_task(what)

        def report(part: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{what} {part}")

        yield report
