"""Work that other processes import: a file for each number."""

from dataclasses import dataclass
from pathlib import Path

from lrat_hub.errors import LratError
from lrat_hub.scaling.work import write_whole


@dataclass(frozen=True)
class Squares:
    folder: Path
    count: int
    fails_at: int = -1

    name = "squares"

    def path(self, number):
        return self.folder / f"{number}.txt"

    def has(self, number):
        return self.path(number).exists()

    def run(self, shard, shards):
        numbers = range(shard, self.count, shards)
        for number in numbers:
            if number == self.fails_at:
                raise LratError(f"Squares: expected another number, found {number}.")
            if not self.has(number):
                write_whole(self.path(number), lambda file, number=number: file.write(str(number**2).encode()))
        return len(numbers)


class WithBars(Squares):
    """The same, with a progress bar in the worker, for which tqdm makes a lock of all processes."""

    def run(self, shard, shards):
        from tqdm import tqdm

        for _ in tqdm(range(1)):
            return super().run(shard, shards)
