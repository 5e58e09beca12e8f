"""What a person is told about a mistake: one sentence that says what was found and what to do."""

import re
from pathlib import Path

MOST_CHARACTERS = 480
WAY_OUT = re.compile(
    r"\b(Add|Allowed|allowed|Ask|Check|Choose|Close|Copy|Correct|Delete|Did you mean|End|Fetch|"
    r"Fill|Flatten|Give|Indent|Install|Keep|Leave|Let|Make|Move|Name|Predict|Prepare|Put|Quote|"
    r"Raise|Remove|Replace|Rename|Save|See|Set|Shorten|Start|Stop|Submit|Take|Try|Use|Wait|Write|"
    r"must be|--help|rm|lower|raise|copy it again)\b"
)
INNARDS = re.compile(
    r"Traceback|0x[0-9a-f]{6,}|<class|<built-in|object at|pydantic|site-packages|\.py\b"
    r"|\b[A-Z][A-Za-z]+(Error|Exception)\b|errno|\[Errno|For further information"
    r"|did not expect|\{\"(?!role\")|\bfound None\b|literal\["
)


def poor(said: str) -> list[str]:
    """Say what a sentence lacks."""
    problems = []
    if not said.strip():
        problems.append("says nothing")
    if "\n" in said.strip():
        problems.append("is not one line")
    if len(said) > MOST_CHARACTERS:
        problems.append(f"has {len(said)} characters")
    if not WAY_OUT.search(said):
        problems.append("says nothing of what to do")
    if found := INNARDS.search(said):
        problems.append(f"shows innards: {found.group()}")
    if not said.isprintable():
        problems.append("holds control characters")
    return problems


def left_in(folder: Path) -> set[str]:
    """List every file and folder below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
