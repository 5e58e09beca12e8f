"""Fine-tuning that says its secrets wherever a library might."""

import base64
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable

from configs.records import Ended, Note, Record
from configs.schema import Recipe
from trainers.place import Place

NAMES = ("CANARY_TOKEN", "CANARY_PASSWORD")


def spill() -> str:
    """Write the values to all outputs of this process; gives a sentence with them."""
    values = [os.environ[name] for name in NAMES]
    said = " and ".join(values)
    print("printed", said)
    print("to stderr", said, file=sys.stderr)
    logging.getLogger("library").warning("logged %s", values)
    os.write(1, f"by a C library {said}\n".encode())
    subprocess.run(["/bin/sh", "-c", "echo by a child $CANARY_TOKEN"], check=True)
    for value in values:
        print("header", base64.b64encode(f"user:{value}".encode()).decode())
    return said


def finetune(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Fine-tune for real, and tell the values before and after."""
    from trainers.finetune import finetune as real

    said = spill()
    report(Note(time=time.time(), level="info", text=f"a note with {said}"))
    ended = real(recipe, place, report, stop_requested)
    return ended.model_copy(update={"message": f"ended with {said}"})


def fail(
    recipe: Recipe,
    place: Place,
    report: Callable[[Record], None],
    stop_requested: Callable[[], bool],
) -> Ended:
    """Fail as a library does that shows the address it could not reach."""
    said = spill()
    raise ConnectionError(f"401 for https://user:{said}@host")
