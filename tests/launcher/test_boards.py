"""TensorBoard over several runs."""

from launcher.boards import board_folder
from launcher.cli import run


def test_runs_lie_side_by_side_under_their_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "tensorboard").mkdir(parents=True)
        (tmp_path / "runs" / name / "tensorboard" / "events").write_text(name)
    folder = tmp_path / "boards"
    folder.mkdir()
    boards = {name: str(tmp_path / "runs" / name / "tensorboard") for name in ("a", "b")}
    assert board_folder(folder, boards) == ["--logdir", str(folder)]
    assert (folder / "b" / "events").read_text() == "b"


def test_remote_runs_are_named_to_tensorboard_itself(tmp_path):
    boards = {"a": "s3://bucket/a", "b": "/local/b"}
    assert board_folder(tmp_path, boards) == ["--logdir_spec", "a:s3://bucket/a,b:/local/b"]


def test_no_run_and_unknown_runs_are_not_found(cluster, capsys):
    assert run(["tensorboard"], cluster.client()) == 8
    assert run(["tensorboard", "absent"], cluster.client()) == 8
