"""List the faults of storage, numbers, names and rights; causes.py looks them up."""

from cluster import remedies
from cluster.evidence import Cause, Sign
from cluster.telltales import (
    HUB_REFUSES,
    NO_RIGHT,
    NO_ROOM,
    OTHER_VALUES,
    OVER_QUOTA,
    SET_DAMAGED,
    SUPERSEDED,
)

WORK_CAUSES = (
    Cause(
        "stopped",
        "the run was stopped as asked",
        "It committed and ended because somebody asked it to.",
        "Resume when you like: no step is lost.",
        (Sign(r"^stopped (after step|before the next attempt)", where=("message",)),),
        resumes=True,
    ),
    Cause(
        "stopped_outside",
        "the job was ended from outside",
        "`thaw stop --now`, `ray job stop` or the cluster's shutdown ended the driver.",
        "Resume: the run goes on from its last commit.",
        (Sign(r"stopped (from outside|at once)", where=("message",)),),
        resumes=True,
    ),
    Cause(
        "checkpoint_damaged",
        "no checkpoint can be loaded",
        "Bytes of every commit differ from those that were written, or files are gone.",
        "Restore the run's folder `checkpoints` from a backup, or start a new run.",
        (Sign(error="CheckpointError", unless=OTHER_VALUES),),
    ),
    Cause(
        "set_damaged",
        "the prepared data are damaged",
        "A shard or the manifest of the set is not what was prepared: a disk, a copy, a hand.",
        "See with `thaw data validate RUN` what it is, delete the folder of that set and resume: "
        "it is prepared again from the same files.",
        (Sign(SET_DAMAGED, error="DataError"),),
        resumes=True,
    ),
    Cause(
        "state_lost",
        "run.json is damaged or gone",
        "How the run ended is not known; commits are files of their own, with the recipe in them.",
        "Resume: it goes on from the last commit.",
        (Sign(r"^How it ended is not known", where=("message",)),),
        resumes=True,
    ),
    Cause(
        "recipe_changed",
        "the commits are of another recipe",
        "A value that decides the answer, the data or a version differs from those of the commits.",
        "Resume with the run's own recipe and packages, or accept another answer: --allow-change.",
        (Sign(OTHER_VALUES),),
    ),
    Cause(
        "disk_full",
        "a disk is full",
        "No room was left where the run or the node writes.",
        "Delete what is not needed there (old runs, checkpoints, /tmp/ray), then resume.",
        (Sign(NO_ROOM, where=("message", "words", "ray")),),
        (remedies.FEWER_COMMITS,),
        resumes=True,
    ),
    Cause(
        "quota",
        "a quota is used up",
        "The storage, the cluster or the hub allows no more for this account now.",
        "Free what counts against it, or ask for more; then resume.",
        (Sign(OVER_QUOTA, where=("message", "words", "ray")),),
        (remedies.FEWER_COMMITS,),
        resumes=True,
    ),
    Cause(
        "storage",
        "the storage was gone or too slow",
        "Reads or writes of the run's storage failed for longer than the run waits.",
        "Look at the mount or the object store from a node, then resume.",
        (Sign(error="StorageError", unless=f"{NO_ROOM}|{OVER_QUOTA}|{NO_RIGHT}"),),
        (remedies.MORE_PATIENT_STORAGE,),
        resumes=True,
    ),
    Cause(
        "storage_apart",
        "the nodes do not see the same storage",
        "Ranks wrote that they are there, and rank 0 did not see all of them.",
        "Use storage that every node mounts at the same path, or s3:// or gs://.",
        (Sign(r"workers can be seen in \S+ after", where=("message",)),),
    ),
    Cause(
        "nonfinite",
        "the numbers blew up",
        "Loss, gradient or a weight became NaN or infinite, or the loss spiked; no such step is "
        "ever committed.",
        "Look at the rows that are named; learn more slowly, or skip such steps.",
        (
            Sign(
                r"(loss|gradient norm) is [-+.\de]*(nan|inf)|loss is [\d.e+-]+, above "
                r"|a weight is not finite",
                error="TrainingError",
                where=("message",),
            ),
        ),
        (remedies.SKIPPED, remedies.SLOWER_LEARNING),
    ),
    Cause(
        "locked",
        "the name is taken",
        "Another run has this name, or somebody else works on the run.",
        "Choose another name, or wait for the other job (`thaw status`).",
        (Sign(error="LockedError", unless=SUPERSEDED),),
    ),
    Cause(
        "superseded",
        "another attempt has taken the run over",
        "Two drivers worked on one run; the older one was kept from writing.",
        "Leave the run to the newer one: `thaw watch`.",
        (Sign(SUPERSEDED),),
    ),
    Cause(
        "hub_auth",
        "the hub does not give the model or data",
        "The repository is private, gated or does not exist, and the token is missing or does not "
        "open it.",
        "Ask for access on its page, and let the workers have the token: `cluster.secrets: "
        "[HF_TOKEN]`. Correct the name if it is wrong.",
        (Sign(HUB_REFUSES, unless=OVER_QUOTA),),
    ),
    Cause(
        "hub_unreachable",
        "a node cannot reach the hub",
        "The model or data is not on the node, and its network has no way to the hub.",
        "Put the folder on storage that every node sees, and give its path.",
        (Sign(r"couldn't connect to 'https?://|Cannot find the requested files in .*cache"),),
    ),
    Cause(
        "storage_auth",
        "the storage refuses us",
        "The account of the workers may not read or write there.",
        "Give the nodes' account the right to it, then resume.",
        (Sign(NO_RIGHT, unless=HUB_REFUSES),),
        resumes=True,
    ),
    Cause(
        "ledger",
        "an epoch did not see each row exactly once",
        "The prepared shards do not hold what their manifest says.",
        "Check them with `thaw data validate RUN --deep`, prepare again, start a new run.",
        (Sign(r"(epoch|evaluation) .* saw \d+ rows", error="TrainingError"),),
    ),
    Cause(
        "defect",
        "Thaw found a fault of its own",
        "Something that must never be was seen, and the run was ended before it did harm.",
        "Report it with this page and the logs.",
        (Sign(r"Report this as a defect|report this as a defect"),),
    ),
)
