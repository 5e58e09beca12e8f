"""Words by which faults are known; what they mean stands in machine_causes and work_causes.

They are what ray 2.60, torch 2.13, gloo, NCCL, transformers 5.23, huggingface_hub, pyarrow 26 and
the kernel print.
"""

GONE = r"worker \d+.*(died|was lost|was ended)|process that watches"
"""A rank is gone: what others then say of their connections is an echo."""
NODE_LEFT = r"preempt|drain|taken back by its provider|will leave the cluster"
NO_ROOM = r"No space left on device|Errno 28\b|OutOfDiskError|disk is full"
OVER_QUOTA = (
    r"Disk quota exceeded|Errno 122\b|exceeded quota|quota exceeded|QuotaExceeded"
    r"|RESOURCE_EXHAUSTED|429 (Client Error|Too Many Requests)|TooManyRequests|SlowDown"
)
NO_RIGHT = (
    r"ACCESS_DENIED|AccessDenied|Access Denied|Permission denied|Errno 13\b|Errno 30\b"
    r"|Read-only file system"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|INVALID_ACCESS_KEY"
    r"|no (AWS )?credentials|Anonymous caller"
)
HUB_REFUSES = (
    r"gated repo|GatedRepo|Repository Not Found for url|RepositoryNotFound|Invalid user token"
    r"|40[13] (Client Error|Unauthorized|Forbidden)|make sure to pass a token"
)
UNREACHED = (
    r"connectFullMesh|Unable to find (address|interface) for|no socket interface found"
    r"|socketStartConnect|client socket has (timed out|failed to connect)"
    r"|server socket has failed to|address already in use|EADDRINUSE"
    r"|Unable to resolve hostname|connecting to address .*with family|waiting for clients\. \d"
)
DEVICE_FULL = r"(CUDA|HIP)( error:)? out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDA_ERROR_OUT_OF_MEM"
HOST_FULL = (
    r"its node ran out of memory|DefaultCPUAllocator|not enough memory|Cannot allocate memory"
    r"|MemoryError|std::bad_alloc|malloc of size \d+ failed"
)
OTHER_VALUES = r"was made with other values of|was computed with other packages"
SUPERSEDED = r"has taken the run over"
VERSIONS_DIFFER = (
    r"Version mismatch: The cluster was started with|cannot import name '|undefined symbol"
    r"|driver version is insufficient|driver on your system is too old|no kernel image is available"
    r"|binary incompatibility|compiled using NumPy 1|runs Ray \S+, through which"
)
NO_PACKAGE = r"No module named '|needs the package |requires the \S+ library|requires the following"
NO_START = r"did not start in time|could not be started|set up runtime environment|runtime_env"
RUN_LIVES = r"the run goes on"
ORPHAN = r"the driver goes on without its job"
SET_DAMAGED = (
    r"is damaged: (\d+ bytes where the manifest|its bytes are not those that were prepared)"
    r"|is damaged \(.*Prepare the data again|\. Delete \S+ and prepare the data again"
)
SILENT = r"no sign of life"
HEAD_GONE = r"No Ray dashboard answers|does not answer|knows no job"
SUPERVISOR_GONE = r"Job supervisor actor|job supervisor|Unexpected error occurred"
