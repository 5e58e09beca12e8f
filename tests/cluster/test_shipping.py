"""What of a person's folder goes to the cluster, and what never does."""

import os
from pathlib import Path

import pytest

from cluster.shipping import MOST_FILES, Shipment, refuse_broad, staged, survey
from configs.errors import RecipeError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return folder


def test_what_gives_away_stays_here_wherever_it_lies(tmp_path: Path) -> None:
    secrets = [".git/config", ".env", ".env.local", "pack/.ENV", ".ssh/id_rsa", "keys/server.PEM",
               "pack/id_ed25519", "ID_RSA", "credentials.json", "deep/down/.aws/credentials",
               ".netrc", "Credentials"]  # fmt: skip
    code = ["own.py", "pack/__init__.py", "deep/down/environment.py", "pem.py", "idea.py"]
    shipment = survey(fill(tmp_path, *secrets, *code))
    assert sorted(shipment.files) == sorted(code)
    assert {*shipment.left_out.values()} == {"its name"}
    assert shipment.num_bytes == sum(len(f"content of {name}") for name in code)
    assert all(shipment.why_left_out(name) == "its name" for name in secrets)
    assert all(shipment.why_left_out(name) is None for name in code)


def test_lists_of_a_person_count_in_every_folder(tmp_path: Path) -> None:
    fill(tmp_path, "own.py", "data/a.csv", "a.csv", "pack/b.csv", "pack/keep.csv", "pack/note.txt",
         "other/note.txt")  # fmt: skip
    (tmp_path / ".gitignore").write_text("# data\ndata/\n*.csv\n")
    (tmp_path / "pack" / ".gitignore").write_text("!keep.csv\n/note.txt\n")
    shipment = survey(tmp_path)
    assert sorted(shipment.files) == ["other/note.txt", "own.py", "pack/keep.csv"]
    assert shipment.left_out["data/"] == ".gitignore"
    assert shipment.why_left_out("data/a.csv") == ".gitignore"


def test_own_list_has_the_last_word(tmp_path: Path) -> None:
    fill(tmp_path, "id_map.py", "big.bin", "built.py", ".env")
    (tmp_path / ".gitignore").write_text("built.py\n!.env\n")
    (tmp_path / ".thawignore").write_text("!id_map.py\n!built.py\nbig.*\n")
    shipment = survey(tmp_path)
    assert sorted(shipment.files) == ["built.py", "id_map.py"]
    assert (shipment.left_out["big.bin"], shipment.left_out[".env"]) == (".thawignore", "its name")


def test_links_lead_to_nothing_that_stays_here(tmp_path: Path) -> None:
    inside = fill(tmp_path / "code", "own.py", ".env", ".git/config", "pack/inner.py")
    outside = fill(tmp_path / "outside", "key")
    for name, target in {
        "settings": inside / ".env",
        "history": inside / ".git" / "config",
        "elsewhere": outside,
        "key": outside / "key",
        "circle": inside,
        "nothing": inside / "absent",
        "same": inside / "pack",
    }.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "pipe")
    shipment = survey(inside)
    assert sorted(shipment.files) == ["own.py", "pack/inner.py", "same/inner.py"]
    assert shipment.left_out["settings"] == shipment.left_out["history"] == "its name"
    assert shipment.left_out["key"] == "a link that leads out of the folder"
    assert shipment.left_out["elsewhere/"] == "a link that leads out of the folder"
    assert shipment.left_out["circle/"] == "a link in a circle"
    assert shipment.left_out["nothing"] == "a link to nothing"
    assert shipment.left_out["pipe"] == "no file"


def test_copy_holds_just_what_is_shipped_and_goes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "code", "own.py", "pack/inner.py", ".env")
    (folder / ".gitignore").write_text("own.pyc\n")
    with staged(folder) as copy:
        found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
        assert found == ["own.py", "pack/inner.py"]
        assert (copy / "own.py").read_text() == "content of own.py"
        assert copy.stat().st_mode & 0o077 == 0
    assert not copy.exists()


def test_size_is_bounded_and_says_where_it_is(tmp_path: Path) -> None:
    fill(tmp_path, "own.py", "data/rows.bin", "more/small.bin")
    os.truncate(tmp_path / "data" / "rows.bin", 201 * 2**20)
    with pytest.raises(RecipeError, match=r"more than the 200 MiB that are shipped, most in data/"):
        survey(tmp_path)
    (tmp_path / ".thawignore").write_text("data/\n")
    assert sorted(survey(tmp_path).files) == ["more/small.bin", "own.py"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "itself").symlink_to("itself")
    assert survey(tmp_path).left_out == {"itself": "a link to nothing"}
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # 5,000 characters, where a path has at most 4,096
        os.mkdir("x" * 250, dir_fd=at)
        deeper = os.open("x" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(at)
    told = r"cannot be read: .*xxx: File name too long\. Correct it, or name .*/\.thawignore"
    with pytest.raises(RecipeError, match=told):
        survey(tmp_path)


def test_number_of_files_is_bounded() -> None:
    from cluster.shipping import _refuse_large

    many = {f"rows/{number}": Path("x") for number in range(MOST_FILES + 1)}
    with pytest.raises(RecipeError, match=r"more than the 20,000 files that are shipped, .* rows/"):
        _refuse_large(Shipment(Path("code"), files=many))


def test_nobody_ships_a_home_or_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "people" / "ann"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "root").symlink_to("/")
    (tmp_path / "usr").symlink_to("/usr")
    for folder, what in {
        "/": "the root of this machine",
        tmp_path / "root": "which is /",
        tmp_path / "root" / "etc": "a folder of the system",
        tmp_path / "usr": "a folder of the system",
        Path("/home", "bob"): "a home folder",
        home: "is a home folder",
        tmp_path / "link": "which is .*ann",
        home.parent: "a folder with a home in it",
        "/proc/self": "a folder of the system",
    }.items():
        with pytest.raises(RecipeError, match=what):
            refuse_broad(Path(folder))
    (home / "code").mkdir()
    refuse_broad(home / "code")
