"""Whose file each deleting, moving and writing call of the code touches: none is a person's.

A call that is not in these tables fails here: say whose files it touches, and how that is known.
"""

import ast

import pytest

from tests.source_tree import ROOMS, sources

DELETING = {
    "rmtree",
    "unlink",
    "rmdir",
    "removedirs",
    "move",
    "rename",
    "symlink_to",
    "delete",
    "delete_ours",
    "delete_dir",
    "delete_file",
    "ftruncate",
    "truncate",
    "os.replace",
    "os.link",
    "os.remove",
}
WRITING = {
    "write_text",
    "write_bytes",
    "write_atomically",
    "write_chunks",
    "write_private",
    "write_file",
    "write_own",
    "upload",
    "download",
    "create_exclusively",
    "append_lines",
    "storage.append",
}
RUN = "the run's own, below the folder that it claimed"
OURS = "ours, by their names; strangers stay"
STATE = "this person's state below THAW_HOME"
OWN = "what the same function has just made, under a name of its own"
DELETES = {
    "cluster/attempts.py:_fit": OWN,
    "cluster/auth.py:own_runs": STATE,
    "cluster/auth.py:write_token": STATE,
    "cluster/examination.py:forget_marks": "its own marks; folders only where they are empty",
    "cluster/deletion.py:delete_run": OURS,
    "cluster/located.py:forget_run": STATE,
    "cluster/local.py:_delete_temp_dir": "of a local cluster, by the mark in it",
    "cluster/local.py:stop_local_cluster": STATE,
    "cluster/runs.py:clear_stop_request": RUN,
    "cluster/runs.py:create_run": OURS,
    "launcher/boards.py:board_options": "links of its own in a temporary folder",
    "launcher/dates.py:write_dates": "rows of the demonstration, where they are not there yet",
    "launcher/deletion.py:delete": "a run's, " + OURS,
    "launcher/digits.py:write_digits": "rows of the demonstration, where they are not there yet",
    "launcher/docstrings.py:write_docstrings": "rows of the demonstration, not there yet",
    "launcher/signatures.py:write_signatures": "rows of the demonstration, not there yet",
    "trainers/belongings.py:_drop_empty": "folders that it emptied, or that have our names",
    "trainers/belongings.py:delete_ours": OURS,
    "trainers/commit_thread.py:_clear_up": "shares of this commit, by their names",
    "trainers/commit_thread.py:discard": OURS,
    "trainers/data/publication.py:_move_aside": "a damaged set without strangers in it",
    "trainers/data/publication.py:publish_folder": "a finished set of its own, to where nothing is",
    "trainers/data/recordings.py:_seal": OWN,
    "trainers/data/recordings.py:abandon": OWN,
    "trainers/data/recordings.py:delete_others": OURS,
    "trainers/data/recordings.py:finish": OWN,
    "trainers/data/scratch.py:_put": "its work folder's, which a lock guards",
    "trainers/data/shard_cache.py:fetch_within": "of the cache, a folder of this person alone",
    "trainers/data/work_folder.py:clear": OURS,
    "trainers/data/work_folder.py:exclusive": "its lock; folders that it made, where empty",
    "trainers/data/work_folder.py:sweep": "work folders by fingerprint, in them " + OURS,
    "trainers/export_folder.py:_drop_empty": "folders of the files of an export, where empty",
    "trainers/export_folder.py:_exchange": "files that the mark lists, as they were written",
    "trainers/export_folder.py:_keep_others": "a person's, which get another name and are told of",
    "trainers/export_folder.py:_move": "files that the mark lists, as they were written",
    "trainers/export_folder.py:_upload": "files that the mark lists",
    "trainers/export_folder.py:delete_export": "files that the mark lists",
    "trainers/export_folder.py:put": "a finished folder of its own, to where nothing is",
    "trainers/export_folder.py:workshop": "folders that it made, where they are empty",
    "trainers/optimizer_state.py:_drop": "what is no part of a commit any more, by our names",
    "trainers/private_folders.py:write_private": OWN,
    "trainers/retention.py:delete_commits": OURS,
    "trainers/retention.py:delete_leftovers": OURS,
    "trainers/storage.py:_write_remote": OWN,
    "trainers/storage.py:append": "the half line that it has just written",
    "trainers/storage.py:create_exclusively": OWN,
    "trainers/storage.py:delete": "what its caller names: the callers stand here",
    "trainers/storage.py:rename": "what its caller names: the callers stand here",
    "trainers/storage.py:write_chunks": "what its caller names: the callers stand below",
    "trainers/watchdog.py:_put": RUN,
    "trainers/watchdog.py:_watch": OWN,
    "trainers/watchdog.py:stop": OWN,
}
WRITES = {
    "cluster/aftermath.py": RUN,
    "cluster/auth.py": STATE,
    "cluster/book.py": RUN,
    "cluster/examination.py": OWN,
    "cluster/finetuning.py": RUN,
    "cluster/local.py": STATE,
    "cluster/located.py": STATE,
    "cluster/lock.py": RUN,
    "cluster/outputs.py": "a file that a person named, there only with --overwrite",
    "cluster/prediction_files.py": "a file that a person named, there only with --overwrite",
    "cluster/recipe_file.py": RUN,
    "cluster/runs.py": RUN,
    "cluster/worker.py": RUN,
    "launcher/cli.py": STATE,
    "launcher/data_sets.py": "a file that a person named, there only with --overwrite",
    "launcher/dates.py": "rows of the demonstration, where they are not there yet",
    "launcher/docstrings.py": "rows of the demonstration, where they are not there yet",
    "launcher/image_demonstration.py": "a config of the demonstration, not there yet",
    "launcher/own_files.py": "a recipe of the demonstration, by its seal",
    "launcher/signatures.py": "rows of the demonstration, where they are not there yet",
    "launcher/small_language_model.py": "a model of the demonstration, not there yet",
    "launcher/small_translation_model.py": "a model of the demonstration, not there yet",
    "trainers/commit_thread.py": RUN,
    "trainers/damage.py": "a cache of this person",
    "trainers/data/encoding.py": "its work folder's, which a lock guards",
    "trainers/data/first_rows.py": OWN,
    "trainers/data/publication.py": "its work folder's, or a set by its fingerprint",
    "trainers/data/scratch.py": "its work folder's, which a lock guards",
    "trainers/data/sources.py": OWN,
    "trainers/data/store.py": "its work folder's, or a set by its fingerprint",
    "trainers/data/validation.py": OWN,
    "trainers/delivery.py": RUN,
    "trainers/export.py": OWN,
    "trainers/export_folder.py": "thaw.json of an export, and what no mark forbids",
    "trainers/optimizer_state.py": RUN,
    "trainers/predictor.py": OWN,
    "trainers/sentence_files.py": OWN,
    "trainers/storage.py": "what its caller names: the callers stand here",
    "trainers/tensor_file.py": RUN,
    "trainers/tracking.py": RUN,
    "trainers/watchdog.py": RUN,
}


def is_of(call: ast.Call, names: set[str]) -> bool:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    return last in {each for each in names if "." not in each} or name in names


def calls(names: set[str], *, by_function: bool) -> set[str]:
    found = set()
    for source in sources(*ROOMS):
        for function in source.functions():
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and is_of(node, names):
                    found.add(f"{source.path}:{function.name}" if by_function else source.path)
    return found


@pytest.mark.parametrize(
    ("names", "table", "by_function"), [(DELETING, DELETES, True), (WRITING, WRITES, False)]
)
def test_every_call_says_whose_files_it_touches(
    names: set[str], table: dict[str, str], by_function: bool
) -> None:
    found = calls(names, by_function=by_function)
    assert sorted(found - table.keys()) == []
    assert sorted(table.keys() - found) == []
