"""Read new lines of a file of records, each once; what they say is the reader's."""

from configs.errors import StorageError, reason_of
from configs.records import split_lines
from trainers import storage as files


class RecordTail:
    """New lines of a file such as metrics.jsonl, each once.

    A resumed attempt rewrites the file without the records after its commit; lines that were read
    before are known by their hash then.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._read: set[int] = set()
        self._mark: tuple[int, int] | None = None
        self._offset = 0

    def new_lines(self) -> list[str]:
        """Give the whole lines that were added since the last call."""
        data = self._added()
        end = data.rfind(b"\n") + 1
        self._offset += end
        text = data[:end].decode(errors="replace")
        lines = [line for line in split_lines(text) if hash(line) not in self._read]
        self._read.update(map(hash, lines))
        return lines

    def _added(self) -> bytes:
        path = files.local_path(self._address)
        if path is None:
            whole = files.read_bytes(self._address) if files.exists(self._address) else b""
            self._offset = self._offset if len(whole) >= self._offset else 0
            return whole[self._offset :]
        try:
            with path.open("rb") as stream:
                found = path.stat()
                if self._mark != (found.st_dev, found.st_ino) or found.st_size < self._offset:
                    self._mark, self._offset = (found.st_dev, found.st_ino), 0
                stream.seek(self._offset)
                return stream.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StorageError(f"{self._address} could not be read: {reason_of(error)}") from error
