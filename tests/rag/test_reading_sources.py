"""What there is to read: files, folders, patterns, addresses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmops_kernel.rag.reading import Source, Unreadable, find_sources, read


def write(path: Path, data: str | bytes = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def names(sources: list[Source]) -> list[str]:
    return [source.source for source in sources]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "docs"
    write(top / "b.md", "# B")
    write(top / "a.txt")
    write(top / "sub" / "deep" / "c.html", "<p>c")
    write(top / "LICENSE", "no ending, and yet a text")
    write(top / "photo.bin", bytes(range(256)) * 20)
    write(top / ".hidden.md")
    write(top / ".git" / "config")
    return top


def test_a_folder_with_all_below_it(folder: Path) -> None:
    sources = find_sources([str(folder)])
    assert names(sources) == [
        ".git",
        ".hidden.md",
        "LICENSE",
        "a.txt",
        "b.md",
        "photo.bin",
        "sub/deep/c.html",
    ]
    told = {source.source: (source.kind, source.problem) for source in sources}
    assert told["b.md"] == ("markdown", None)
    assert told["LICENSE"] == ("text", None)
    assert told["sub/deep/c.html"] == ("html", None)
    assert told["photo.bin"] == ("unknown", "unsupported")
    assert told[".hidden.md"][1] == told[".git"][1] == "hidden"


def test_stamp_and_size_tell_a_change(folder: Path) -> None:
    path = folder / "a.txt"
    first = find_sources([str(path)])[0]
    assert first.stamp == (path.stat().st_mtime_ns, 4)
    assert Path(first.location) == path
    assert find_sources([str(path)])[0] == first
    write(path, "another text")
    assert find_sources([str(path)])[0].stamp != first.stamp


def test_a_file_is_named_as_in_its_folder_even_if_hidden(folder: Path) -> None:
    assert names(find_sources([str(folder / "b.md")])) == ["b.md"]
    hidden = find_sources([str(folder / ".hidden.md")])[0]
    assert (hidden.source, hidden.problem) == (".hidden.md", None)


def test_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(find_sources([str(folder / "**" / "*.html")])) == ["sub/deep/c.html"]
    monkeypatch.chdir(folder.parent)
    assert names(find_sources(["docs/*.md", "docs/*.txt"])) == ["a.txt", "b.md"]
    (nothing,) = find_sources(["docs/*.nothing"])
    assert (nothing.source, nothing.problem) == ("docs/*.nothing", "unreachable")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    write(tmp_path / "notes [1].md", "# One")
    assert names(find_sources([str(tmp_path / "notes [1].md")])) == ["notes [1].md"]


def test_each_file_once(folder: Path) -> None:
    deep = folder / "sub" / "deep" / "c.html"
    assert names(find_sources([str(deep), str(folder), str(folder / "sub")])).count("c.html") == 0
    assert "sub/deep/c.html" in names(find_sources([str(deep), str(folder)]))


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "sub" / "self").symlink_to(folder / "sub" / "self")
    (folder / "same.md").symlink_to(folder / "b.md")
    sources = find_sources([str(folder)])
    assert names(sources).count("sub/up/a.txt") == 0
    assert len({os.path.realpath(source.location) for source in sources}) == len(sources)
    (loop,) = [source for source in sources if source.source == "sub/self"]
    assert loop.problem == "unreachable"


def test_two_folders_with_files_of_one_name(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / "x" / "one" / "README.md"),
        write(tmp_path / "y" / "two" / "README.md"),
    )
    sources = find_sources([str(one.parent), str(two.parent)])
    assert names(sources) == ["one/README.md", "two/README.md"]
    three = write(tmp_path / "z" / "two" / "README.md")
    sources = find_sources([str(two.parent), str(three.parent)])
    assert names(sources) == [two.as_posix(), three.as_posix()]


def test_what_is_missing_too_large_or_no_file(folder: Path) -> None:
    missing, pipe = folder / "missing.md", folder / "pipe"
    os.mkfifo(pipe)
    by_name = {
        source.source: source
        for source in find_sources([str(missing), str(pipe), str(folder)], max_bytes=20)
    }
    assert by_name["missing.md"].problem == "unreachable"
    assert by_name["pipe"].problem == "unsupported"
    assert by_name["photo.bin"].problem == "too large"
    assert by_name["LICENSE"].problem == "too large"
    assert by_name["a.txt"].problem is None
    with pytest.raises(Unreadable) as caught:
        read(by_name["LICENSE"])
    assert caught.value.reason == "too large"
    assert caught.value.source is by_name["LICENSE"]
    assert str(caught.value) == "A document cannot be read: too large"
    assert "LICENSE" in caught.value.detail


def test_a_file_that_goes_or_grows_after_it_was_found(folder: Path) -> None:
    (source,) = find_sources([str(folder / "a.txt")])
    write(folder / "a.txt", "x" * 100)
    with pytest.raises(Unreadable) as caught:
        read(source, max_bytes=50)
    assert caught.value.reason == "too large"
    (folder / "a.txt").unlink()
    with pytest.raises(Unreadable) as caught:
        read(source)
    assert caught.value.reason == "unreachable"


@pytest.mark.parametrize(
    ("target", "source", "problem"),
    [
        ("https://Bank.example/fees#top", "https://bank.example/fees", None),
        ("HTTP://bank.example:8080?q=1", "http://bank.example:8080/?q=1", None),
        ("http://[::1]:80/x", "http://[::1]:80/x", None),
        ("ftp://bank.example/x", "ftp://bank.example/x", "unsupported"),
        ("file:///etc/passwd", "file:///etc/passwd", "unreachable"),
        ("http://me:secret@bank.example/x", "http://bank.example/x", "unsupported"),
        ("http://bank.example:port/x", "http://bank.example:port/x", "unreachable"),
    ],
)
def test_addresses(target: str, source: str, problem: str | None) -> None:
    (found,) = find_sources([target])
    assert (found.source, found.kind, found.problem) == (source, "url", problem)
    assert "secret" not in repr(found)
    assert found.stamp is None
