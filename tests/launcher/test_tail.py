"""Lines of a file that grows."""

from launcher.tail import tail_lines


class Growing:
    """A file that has one more piece each time it is waited for."""

    def __init__(self, *pieces: bytes) -> None:
        self.content, *self.coming = pieces
        self.reads: list[int] = []

    def read(self, start: int) -> bytes:
        self.reads.append(start)
        return self.content[start:]

    def wait(self, seconds: float) -> None:
        self.content += self.coming.pop(0)

    def grows(self) -> bool:
        return bool(self.coming)


def test_lines_come_whole_and_once_and_the_last_one_even_without_an_end():
    file = Growing(b"first\nha", b"", b"lf\n", b"last")
    assert [*tail_lines(file.read, file.grows, file.wait)] == ["first", "half", "last"]
    assert file.reads == [0, 6, 6, 11]


def test_a_file_that_does_not_grow_is_read_once():
    file = Growing(b"caf\xc3\xa9 \xff\n")
    assert [*tail_lines(file.read, file.grows, file.wait)] == ["caf\u00e9 \ufffd"]
    assert file.reads == [0]
