"""How a recipe names a person's own code, `module:name`; importing it is the trainers'."""

import re
from typing import Annotated

from pydantic import AfterValidator

PATTERN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check_import_path(path: str) -> str:
    """Give the path back; raises ValueError for one that is not of the form."""
    if not PATTERN.fullmatch(path):
        raise ValueError(f"{path!r} names no code. Write module:name, such as my_metrics:kappa")
    return path


ImportPath = Annotated[str, AfterValidator(check_import_path)]


def split_import_path(path: str) -> tuple[str, str]:
    """Give the module and the name in it."""
    module, _, name = path.partition(":")
    return module, name
