"""A recipe of ours is written again, a person's never."""

from pathlib import Path

import pytest

from configs.errors import LockedError
from launcher.own_files import write_recipe


def test_a_changed_recipe_stays(tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "new" / "demo.yaml", "epochs: 1\n")
    write_recipe(path, "epochs: 2\n")
    assert path.read_text().startswith("epochs: 2\n# as thaw demo wrote it: ")
    changed = path.read_text().replace("2", "3")
    for text in (changed, "mine: yes\n", "", f"{path.read_text()}more: yes\n"):
        path.write_text(text)
        with pytest.raises(LockedError, match="was changed since"):
            write_recipe(path, "epochs: 4\n")
        assert path.read_text() == text
