"""Optional dependencies: one place that names the extra to install."""

import importlib
from types import ModuleType

from medconsist.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import ``module`` or say which extra brings it.

    Parameters
    ----------
    module
        Dotted name, e.g. ``"nibabel"``.
    extra
        Name of the extra in ``pyproject.toml`` that installs it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.

    Examples
    --------
    >>> require("json", extra="mri").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.split(".")[0]):
            raise
        msg = f"{module} is not installed. Install it with: pip install 'medconsist[{extra}]'"
        raise MissingExtraError(msg) from error
