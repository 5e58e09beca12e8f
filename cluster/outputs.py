"""Refuse to write where something of a person's is; the launcher asks first, the job again."""

import os
from pathlib import Path

from cluster.places import run_folder
from configs.errors import CheckpointError, LockedError
from trainers import storage as files
from trainers.export_folder import EXPORT_FILE, FOLDER, copy_export, read_mark, refuse_place
from trainers.listing import find_files, list_files
from trainers.manifest import list_commits


def refuse_export(storage: str, run: str, folder: str, *, overwrite: bool) -> None:
    """Refuse a folder for a run's export; raises LockedError, RecipeError."""
    refuse_place(folder, run_folder(storage, run), overwrite=overwrite)


def export_here(storage: str, run: str, folder: str, *, overwrite: bool) -> int | None:
    """Copy the export of a run that has one, where both are seen from here; gives its step.

    None where the cluster has to write it: there is none that is whole, by its own list of files.
    Raises what `refuse_export` raises.
    """
    home = run_folder(storage, run)
    source = files.join(home, FOLDER)
    if None in (files.local_path(source), files.local_path(folder)) or not read_mark(source):
        return None
    mark = copy_export(source, folder, home, "overwrite" if overwrite else "new")
    return mark.step if mark is not None else None


def refuse_output(output: str, source: str = "", *, overwrite: bool) -> None:
    """Refuse a file that is there, or would be written over what it is made from.

    Raises LockedError; with `overwrite` a plain file may be there.
    """
    path = files.local_path(output)
    if path is not None and path.is_dir():
        raise LockedError(f"{output} is a folder. Name a file in it")
    above = next((each for each in path.parents if os.path.lexists(each)), None) if path else None
    if above is not None and not above.is_dir():
        raise LockedError(f"{output}: {above} is no folder. Name another place")
    if _is_among(output, source):
        raise LockedError(f"{output} would be written over the input. Name another file")
    if not files.lexists(output):
        return
    if not overwrite:
        raise LockedError(f"{output} is there already. Name another file, or give --overwrite")
    if path is not None and (path.is_symlink() or not path.is_file()):
        raise LockedError(
            f"{output} is a link or a device, which --overwrite leaves alone. Name another file"
        )


def has_export(storage: str, run: str) -> bool:
    """Return whether a run's own export is there to predict with."""
    return files.exists(files.join(run_folder(storage, run), FOLDER, EXPORT_FILE))


def refuse_no_weights(storage: str, run: str, state: str) -> None:
    """Raise CheckpointError for a run that has neither an export nor a commit to predict with."""
    if not has_export(storage, run) and not list_commits(run_folder(storage, run)):
        raise CheckpointError(
            f"Run {run} has neither an export nor a commit yet, it is {state}. Wait for its first "
            f"commit (thaw status {run}), or resume it"
        )


def write_file(output: Path, text: str, *, overwrite: bool) -> None:
    """Write a text file that a person asked for; raises what `refuse_output` raises."""
    refuse_output(str(output), overwrite=overwrite)
    files.write_chunks(str(output), [text.encode()], replace=overwrite)


def _is_among(output: str, source: str) -> bool:
    """Return whether an output that is there is one of the files of the input."""
    if not source:
        return False
    path, inputs = files.local_path(output), files.local_path(source)
    if path is None or inputs is None or not path.exists():
        return output == source
    found = [one.address for one in list_files(source)] if inputs.is_dir() else find_files(source)
    return any(os.path.samefile(path, each) for each in found)
