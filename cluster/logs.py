"""Read the log files of a run while they grow; where they lie is the business of runs.py."""

from configs.errors import StorageError
from trainers import storage as files


def read_log(address: str, start: int = 0) -> bytes:
    """Read what a log holds after its first `start` bytes; nothing while it is absent."""
    path = files.local_path(address)
    if path is None:
        return files.read_bytes(address)[start:] if files.exists(address) else b""
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(f"{address} could not be read: {error.strerror}") from error


def read_end(address: str, most: int) -> bytes:
    """Read the last bytes of a log, at most so many; nothing while it is absent."""
    path = files.local_path(address)
    if path is None:
        return read_log(address)[-most:]
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - most))
            return stream.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(f"{address} could not be read: {error.strerror}") from error
