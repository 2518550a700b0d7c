"""Sections, blocks and headings; parents and children."""

from __future__ import annotations

from itertools import pairwise

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking import make_chunker
from llmops_kernel.rag.documents import Document, Passage

GUIDE = """# Cards

## Losing a card

Block it in the app at once. A new one comes within five working days by post,
at no charge on any plan. You can go on paying with your phone meanwhile, because the number on it
is another one than on the card.

## Fees

The following fees apply to cards of all plans, in euros, whoever issued them:

| Service | Basic | Plus |
|---|---|---|
| Replacement card | 6 | 0 |
| Express delivery | 15 | 15 |

```sh
# a comment, no heading
curl https://bank.example/fees
```
"""


def split(text: str, size: int, media: str = "markdown", overlap: int = 0) -> list[Passage]:
    document = Document("s", text, media=media)
    return make_chunker("markdown", size=size, overlap=overlap).split(document)


def texts(text: str, passages: list[Passage]) -> list[str]:
    return [text[passage.start : passage.end] for passage in passages]


def test_sections_are_chunks_with_the_headings_above_them() -> None:
    passages = split(GUIDE, 120)
    assert [passage.heading for passage in passages] == ["Cards > Losing a card", "Cards > Fees"]
    # The first heading has no text of its own, and goes with the section that it stands above.
    assert texts(GUIDE, passages)[0].startswith("# Cards\n\n## Losing a card\n\nBlock it")
    assert texts(GUIDE, passages)[1].startswith("## Fees\n\nThe following")
    assert texts(GUIDE, passages)[1].endswith("fees\n```")


def test_a_cut_spares_heading_lead_in_and_head_of_a_table() -> None:
    rows = "".join(f"| Service number {n} | {n} | {n + 1} |\n" for n in range(40))
    text = f"## Fees\n\nThese apply:\n\n| Service | Basic | Plus |\n|---|---|---|\n{rows}"
    parts = texts(text, split(text, 100))
    assert len(parts) > 3
    assert parts[0].startswith(
        "## Fees\n\nThese apply:\n\n| Service | Basic | Plus |\n|---|---|---|\n|"
    )
    assert all(part.startswith("| Service number") and part.endswith("|") for part in parts[1:])


def test_paragraphs_are_cut_before_sentences() -> None:
    paragraph = "One thing is said here plainly. Then another thing is said. And that is all of it."
    text = "\n\n".join([paragraph] * 8)
    parts = texts(text, split(text, 60))
    assert len(parts) > 2
    assert all(part.endswith("all of it.") and part.startswith("One thing") for part in parts)


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    text = "# T\n\n" + " ".join(
        f"Sentence {n} of the long paragraph stands here." for n in range(60)
    )
    parts = texts(text, split(text, 64))
    assert all(part.endswith("here.") for part in parts)
    assert all(part.startswith("Sentence") for part in parts[1:])
    sizes = [count_tokens(part) for part in parts]
    assert max(sizes) <= 64
    assert min(sizes) > 32  # well filled: no scrap is left at the end


def test_list_items_stay_whole() -> None:
    items = "".join(f"- Item {n} begins here\n  and goes on below.\n" for n in range(30))
    parts = texts(items, split(items, 60))
    assert len(parts) > 3
    assert all(part.startswith("- Item") and part.endswith("below.") for part in parts)


def test_small_neighbours_are_joined_under_the_heading_they_share() -> None:
    text = "# Words\n\n" + "".join(f"## Word {n}\n\nShort.\n\n" for n in range(4))
    passages = split(text, 200)
    assert [passage.heading for passage in passages] == ["Words"]
    chapters = "# A\n\nShort.\n\n# B\n\nShort.\n"
    assert [passage.heading for passage in split(chapters, 200)] == ["A", "B"]


def test_headings_of_all_kinds() -> None:
    text = (
        "Title\n=====\n\nText one.\n\nPart\n----\n\nText two.\n\n"
        "### [Link](x) **bold** ###\n\nText.\n\n"
        "```\n# code\n```\n\n~~~\n## code\n```\n# code\n~~~\n\n"
        "#hashtag\n\n## C#\n\nText three is here.\n"
    )
    long = text.replace("Text", "A text of some length that is no scrap, so that it stands alone")
    paths = [passage.heading for passage in split(long, 60)]
    assert paths == ["Title", "Title > Part", "Title > Part > Link bold", "Title > C#"]


def test_a_hash_in_plain_text_is_a_heading_only_between_blank_lines() -> None:
    body = "Some words of body text which fill the line and more. " * 4
    text = f"# Real\n\n{body}\n# a comment\n{body}\n"
    assert {passage.heading for passage in split(text, 100, "text")} == {"Real"}
    assert {passage.heading for passage in split(text, 100)} == {"Real", "a comment"}


def test_rows_of_a_table_file_are_small_passages() -> None:
    rows = "\n\n".join(f"name: Customer {n}\ncity: Town {n}\nplan: Plus" for n in range(20))
    passages = split(rows, 240, "csv")
    assert len(passages) >= 6
    for part in texts(rows, passages):
        assert part.startswith("name:")
        assert part.endswith("plan: Plus")


def test_long_headings_leave_less_to_the_text() -> None:
    heading = "A heading that is as long as headings hardly ever are in the documents of any bank, "
    heading += "save those that lawyers write"
    body = " ".join(f"Sentence {n} of it stands here for all to see." for n in range(60))
    longest = {
        title: max(
            count_tokens(text[passage.start : passage.end]) for passage in split(text, 100)[1:]
        )
        for title, text in ((t, f"# {t}\n\n{body}") for t in ("Short", heading))
    }
    assert longest[heading] < longest["Short"] <= 100


def test_overlap_stays_within_its_section() -> None:
    text = "\n\n".join(
        f"## Part {n}\n\n" + " ".join(f"Sentence {m} of part {n}." for m in range(30))
        for n in range(3)
    )
    passages = split(text, 80, overlap=20)
    for before, after in pairwise(passages):
        if before.heading == after.heading:
            assert after.start < before.end
        else:
            assert text[after.start :].startswith("## Part")


def test_children_lie_in_parents_of_about_a_section() -> None:
    text = "# Book\n\n" + "\n\n".join(
        f"## Chapter {n}\n\n" + " ".join(f"Sentence {m} of chapter {n}." for m in range(40))
        for n in range(3)
    )
    passages = make_chunker("parent-child", size=100).split(Document("s", text, media="markdown"))
    parents = [passage for passage in passages if not passage.leaf]
    assert [parent.heading for parent in parents] == [f"Book > Chapter {n}" for n in range(3)]
    children = [passage for passage in passages if passage.leaf]
    assert len(children) >= 9
    for child in children:
        assert child.parent is not None
        assert child.heading == passages[child.parent].heading
    assert all(count_tokens(text[parent.start : parent.end]) <= 350 for parent in parents)


def test_a_child_alone_has_no_parent() -> None:
    passages = make_chunker("parent-child").split(Document("s", "Short.", media="markdown"))
    assert passages == [Passage(0, 6)]
