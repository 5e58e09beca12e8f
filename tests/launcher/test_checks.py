"""What a recipe needs before it is submitted."""

import pytest

from configs.errors import ClusterError, DataError, LockedError, RecipeError
from configs.load import load_recipe
from launcher.checks import check_cluster, check_recipe, code_lines, files_line
from tests.launcher.fake_cluster import write_recipe


def test_all_missing_files_are_named_at_once(cluster, tmp_path):
    path = write_recipe(tmp_path)
    recipe = load_recipe(path, ["data.train=[a.csv, train.csv]", "data.test=b*.csv"])
    with pytest.raises(DataError) as caught:
        check_recipe(cluster.client(), recipe)
    assert f"data.train ({tmp_path}/a.csv), data.test ({tmp_path}/b*.csv)" in str(caught.value)


def test_globs_are_counted_and_remote_addresses_left_alone(tmp_path):
    path = write_recipe(tmp_path)
    for name in ("p1.csv", "p2.csv"):
        (tmp_path / name).write_text("x" * 512)
    recipe = load_recipe(path, ["data.train=[p*.csv, s3://bucket/x.csv]"])
    assert files_line(recipe).parts == (
        "train: 2 files, 1.0 KiB and 1 remote address",
        "validation: 10 % of the training rows",
    )


def test_files_of_a_folder_are_counted(tmp_path):
    path = write_recipe(tmp_path)
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/.hidden"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(b"x" * 512)
    recipe = load_recipe(path, [f"data.train={tmp_path}/pictures"])
    assert files_line(recipe).parts[0] == "train: 3 files, 1.5 KiB"


def test_what_is_unusual_about_the_rows_is_a_warning(cluster, tmp_path):
    path = write_recipe(tmp_path)
    (tmp_path / "train.csv").write_text("text,label\none,a\ntwo,b\n")
    asked = [f"data.train={tmp_path}/train.csv", "task.text=text", "task.label=label"]
    found = check_recipe(cluster.client(), load_recipe(path, [*asked, "task.labels=[a, c]"]))
    (warning,) = [line for line in found if line.tone == "warning"]
    assert warning.parts == (f"{tmp_path}/train.csv has labels that are not in task.labels: 'b'",)


def test_a_taken_name_a_silent_cluster_and_none_are_errors(cluster, tmp_path):
    recipe = load_recipe(write_recipe(tmp_path))
    with pytest.raises(ClusterError, match="No cluster is named"):
        check_cluster(cluster.client(address=None), recipe)
    with pytest.raises(ClusterError, match="No Ray dashboard answers"):
        check_cluster(cluster.client(address="http://nowhere:1"), recipe)
    cluster.add_run(recipe.storage)
    with pytest.raises(LockedError, match="taken"):
        check_recipe(cluster.client(), recipe)


def test_workers_that_can_never_be_placed_are_refused(cluster, tmp_path):
    recipe = load_recipe(write_recipe(tmp_path), ["cluster.num_workers=4"])
    with pytest.raises(ClusterError, match=r"cluster.num_workers \(4\).* be placed"):
        check_cluster(cluster.client(), recipe)


def test_workers_that_others_keep_out_now_are_told_from_those_that_never_fit(cluster, tmp_path):
    recipe = load_recipe(write_recipe(tmp_path), ["cluster.num_workers=2"])
    assert "2 workers can be placed" in check_cluster(cluster.client(), recipe).parts
    cluster.busy = {"one"}
    said = "1 of 2 workers can be placed now, others hold the rest"
    assert said in check_cluster(cluster.client(), recipe).parts


def test_no_cluster_is_called_unless_asked(cluster, tmp_path):
    recipe = load_recipe(write_recipe(tmp_path), ["cluster.address=http://somebody:8265"])
    found = check_recipe(cluster.client(address=None), recipe)
    assert [line.label for line in found] == ["files", "storage"]
    assert cluster.asked == []


def test_own_code_is_looked_for_in_its_folder(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "kinds.py").write_text("import torch_is_not_here\ndef cost(a, b): ...\n")
    asked = ["task.metric=[kinds:cost, elsewhere:f1]"]
    (line,) = code_lines(load_recipe(write_recipe(tmp_path), asked))
    assert line.tone == "warning" and line.parts[0].startswith("kinds, elsewhere is not in")
    asked.append(f"cluster.working_dir={tmp_path}/code")
    recipe = load_recipe(write_recipe(tmp_path), asked)
    found, shipped, warning = code_lines(recipe)
    assert found.parts == ("kinds:cost", f"from {tmp_path}/code")
    assert shipped.parts == (
        f"1 file of {tmp_path}/code",
        "45 B",
    )  # 25 of the first line, 20 of the second
    assert warning.parts == (
        "elsewhere is not in cluster.working_dir and must be installed on every node",
    )
    (tmp_path / "code" / "kinds.py").write_text("")
    with pytest.raises(RecipeError, match=r"task\.metric \(kinds:cost\): .* has no cost"):
        code_lines(recipe)


def test_what_is_left_out_of_the_code_is_counted_and_named(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    for name in ("own.py", ".env", "a.pem", "b.pem", "c.pem", "d.pem"):
        (code / name).write_text("x" * 100)
    (line,) = code_lines(load_recipe(write_recipe(tmp_path), [f"cluster.working_dir={code}"]))
    assert line.parts == (
        f"1 file of {code}",
        "100 B",
        "5 left out: .env (its name), a.pem (its name), b.pem (its name), c.pem (its name)"
        " and 1 more",
    )
