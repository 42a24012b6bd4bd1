"""Importing a module that a user has named."""

import importlib

from regoal.errors import BadInput


def import_user_module(module: str, where: str) -> None:
    """Import a module for what it registers.

    Args:
        module: its name.
        where: what named it, for the message.

    Raises:
        BadInput: it cannot be imported.
    """
    try:
        if not module or module.startswith("."):
            raise ImportError("not the name of a module")
        importlib.import_module(module)
    except ImportError as error:
        raise BadInput(
            where,
            f"a module {module!r} that can be imported",
            f"{type(error).__name__}: {error}",
            "Run from the folder that holds it, or install it.",
        ) from error
