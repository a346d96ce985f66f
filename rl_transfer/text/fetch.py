"""Fetch the texts of the suite ``text-quickstart``: ``python -m rl_transfer.text.fetch FOLDER``.

They lie in the source distribution of vaderSentiment 3.3.2 on PyPI (Hutto & Gilbert 2014, ICWSM; MIT
licence): sentences of film reviews, product reviews and tweets, each with the mean of the sentiments, −4 to
4, that about twenty people gave it. A mean of 1 and more is ``positive``, of −1 and less ``negative``; the
rest is left out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {"movies": "movieReviewSnippets", "products": "amazonReviewSnippets", "tweets": "tweets"}
PER_CLASS = 400


def main(arguments: list[str]) -> int:
    """Write ``movies.csv``, ``products.csv`` and ``tweets.csv``.

    Args:
        arguments: the folder, and perhaps a file that pip has downloaded already.

    Returns:
        The exit code.
    """
    if len(arguments) not in (1, 2):
        print("usage: python -m rl_transfer.text.fetch FOLDER [vaderSentiment-3.3.2.tar.gz]", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    with tempfile.TemporaryDirectory() as place:
        archive = Path(arguments[1]) if len(arguments) == 2 else _download(Path(place))
        if archive is None or not archive.is_file():
            print("pip could not fetch vaderSentiment 3.3.2; see its message", file=sys.stderr)
            return 1
        content = archive.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            print(f"{archive} is not the file that was meant: its SHA-256 is another one", file=sys.stderr)
            return 1
        write_tables(content, folder)
    print(f"{', '.join(f'{name}.csv' for name in DOMAINS)} are in {folder}")
    return 0


def write_tables(content: bytes, folder: Path) -> None:
    """Turn the archive into one table per domain.

    Args:
        content: of ``vaderSentiment-3.3.2.tar.gz``.
        folder: gets the tables; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = io.BytesIO(_member(outer, INNER))
    with tarfile.open(fileobj=inner) as data:
        for name, stem in DOMAINS.items():
            lines = _member(data, f"hutto_ICWSM_2014/{stem}_GroundTruth.txt").decode("utf-8").splitlines()
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([("text", "label"), *_chosen(lines)])


def _chosen(lines: list[str]) -> list[tuple[str, str]]:
    """As many of each class, drawn by the digests of the texts."""
    rows: dict[str, str] = {}
    for line in lines:
        _, score, text = line.split("\t", 2)
        if abs(float(score)) >= 1:
            rows[text] = "positive" if float(score) > 0 else "negative"
    drawn = sorted(rows, key=lambda text: hashlib.sha256(text.encode()).digest())
    chosen = [
        [text for text in drawn if rows[text] == label][:PER_CLASS] for label in ("negative", "positive")
    ]
    return [(text, rows[text]) for each in chosen for text in each]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    return b"" if stream is None else stream.read()


def _download(folder: Path) -> Path | None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), "vaderSentiment==3.3.2"], check=False)
    return next(folder.glob("*.tar.gz"), None) if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
