"""What a task says about a row that it cannot encode; in which file it stands, others know."""


class RowError(Exception):
    """One of the rows handed to `encode` cannot be used."""

    def __init__(self, index: int, sentence: str) -> None:
        super().__init__(index, sentence)
        self.index = index
        """Place of the row in the table that was handed over."""
        self.sentence = sentence
        """What was asked, what was found, what to do; file and row are put before it."""
