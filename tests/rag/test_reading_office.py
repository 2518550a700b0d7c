"""PDF and DOCX, made here."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from llmops_kernel.errors import MissingExtra
from llmops_kernel.rag.documents import Document
from llmops_kernel.rag.reading import Unreadable, find_sources, read


def document(folder: Path, name: str, data: bytes) -> Document:
    (folder / name).write_bytes(data)
    (source,) = find_sources([str(folder / name)])
    return read(source)


def refused(folder: Path, name: str, data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        document(folder, name, data)
    return caught.value


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a page for each text, written by hand; "\\n" begins a new line."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, page in enumerate(pages):
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 72 720 Td {shown} ET" if page else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    objects.append(f"<< /Title ({title}) /Author (Desk) >>")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = (
        f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{rows}trailer\n<< /Size {len(places) + 1}"
        f" /Root 1 0 R /Info {len(places)} 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    )
    return out + trailer.encode()


def encrypted(data: bytes, user: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(user, "owner", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pdf_pages(tmp_path: Path) -> None:
    made = document(
        tmp_path, "a.pdf", pdf("First page.\nOf three.", "Runs on", "to here.", title="Terms")
    )
    assert made.text == "First page.\nOf three.\n\nRuns on\nto here.\n\n"
    assert made.pages == ((1, 0), (2, 23), (3, 31))
    assert [made.page_at(made.text.index(word)) for word in ("First", "Runs", "here")] == [1, 2, 3]
    assert made.title == "Terms"
    assert made.metadata == {"pages": 3, "author": "Desk"}


def test_pdf_titles_that_nobody_chose(tmp_path: Path) -> None:
    for title in ("Microsoft Word - x.doc", "untitled", "fees.indd", ""):
        assert document(tmp_path, "fees.pdf", pdf("Text", title=title)).title == "fees.pdf"


def test_pdf_without_an_ending_and_with_one_empty_page(tmp_path: Path) -> None:
    made = document(tmp_path, "terms", pdf("One.", "", "Three."))
    assert made.media == "pdf"
    assert made.page_at(made.text.index("Three")) == 3


def test_pdf_under_a_password(tmp_path: Path) -> None:
    assert refused(tmp_path, "a.pdf", encrypted(pdf("Secret"), "word")).reason == "encrypted"
    # Encrypted only to forbid printing: opens without a password.
    assert "Open" in document(tmp_path, "b.pdf", encrypted(pdf("Open"), "")).text


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4\nnothing", b"no pdf at all", b"%PDF-1.7\n" + bytes(range(256)) * 9]
)
def test_pdf_damaged(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, "a.pdf", data).reason == "damaged"


def test_pdf_cut_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    whole = pdf("First.", "Second.", "Third.")
    outcomes = set()
    for end in range(0, len(whole), 97):
        try:
            made = document(tmp_path, "a.pdf", whole[:end])
        except Unreadable as refusal:
            outcomes.add(refusal.reason)
        else:
            outcomes.update(made.text.split())
    assert outcomes <= {"damaged", "empty", "First.", "Second.", "Third."}
    assert "damaged" in outcomes


def test_pdf_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtra, match="pypdf") as caught:
        document(tmp_path, "a.pdf", pdf("Text"))
    assert "llmops-kernel[rag]" in caught.value.hint


def test_pdf_of_scans(tmp_path: Path) -> None:
    error = refused(tmp_path, "a.pdf", pdf("", ""))
    assert error.reason == "empty"
    assert "OCR" in error.hint


def test_pdf_with_one_damaged_page(tmp_path: Path) -> None:
    data = pdf("First page.", "Second page.", "Third page.")
    broken = data.replace(b"/Contents 7 0 R", b"/Contents [8 ]", 1)
    made = document(tmp_path, "a.pdf", broken)
    assert "First" in made.text
    assert "Third" in made.text
    assert made.page_at(made.text.index("Third")) == 3


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def paragraph(text: str, style: str = "", inner: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/>{inner}</w:pPr>' if style or inner else ""
    runs = "<w:r><w:br/></w:r>".join(
        f'<w:r><w:t xml:space="preserve">{escape(part)}</w:t></w:r>' for part in text.split("\n")
    )
    return f"<w:p>{properties}{runs}</w:p>"


def table(*rows: tuple[str, ...]) -> str:
    cells = [
        "".join(f"<w:tc>{cell if cell[:1] == '<' else paragraph(cell)}</w:tc>" for cell in row)
        for row in rows
    ]
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(body: str, styles: str = "", **parts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml", f"<w:document {W}><w:body>{body}</w:body></w:document>"
        )
        if styles:
            archive.writestr("word/styles.xml", f"<w:styles {W}>{styles}</w:styles>")
        for name, text in parts.items():
            archive.writestr(f"docProps/{name}.xml", text)
    return out.getvalue()


STYLES = (
    '<w:style w:styleId="U1"><w:name w:val="\u00dcberschrift 1"/></w:style>'
    '<w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="Sub"/></w:style>'
    '<w:style w:styleId="Sub"><w:name w:val="Any"/>'
    '<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
    '<w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>'
)


def test_docx(tmp_path: Path) -> None:
    item = '<w:numPr><w:ilvl w:val="0"/></w:numPr>'
    body = (
        paragraph("Terms & fees", "U1")
        + paragraph("A first paragraph\nwith a break.", "Loop")
        + paragraph("Cards", "Own")
        + paragraph("One", inner=item)
        + paragraph("Two", inner=item)
        + table(("Service", "Price"), ("Card", table(("inner", "6"))))
        + "<w:sdt><w:sdtContent>"
        + paragraph("In a control")
        + "</w:sdtContent></w:sdt>"
        + "<w:p><w:del><w:r><w:t>deleted</w:t></w:r></w:del></w:p>"
        + paragraph("Deep", "Heading3")
    )
    core = (
        '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Terms 2026</dc:title>'
        "<dc:creator>Desk</dc:creator></c>"
    )
    made = document(tmp_path, "a.docx", docx(body, STYLES, core=core))
    assert made.text == (
        "# Terms & fees\n\nA first paragraph\nwith a break.\n\n## Cards\n\n- One\n- Two\n\n"
        "| Service | Price |\n| --- | --- |\n| Card | inner 6 |\n\nIn a control\n\n### Deep"
    )
    assert (made.title, made.metadata, made.media) == ("Terms 2026", {"author": "Desk"}, "docx")
    assert document(tmp_path, "b.docx", docx(body, STYLES)).title == "Terms & fees"


def test_docx_that_cannot_be_read(tmp_path: Path) -> None:
    whole = docx(paragraph("Text"))
    assert refused(tmp_path, "a.docx", whole[:60]).reason == "damaged"
    assert refused(tmp_path, "a.docx", b"PK\x03\x04").reason == "damaged"
    assert refused(tmp_path, "a.docx", docx("<w:p>")).reason == "damaged"
    assert refused(tmp_path, "a.docx", docx(paragraph(" "))).reason == "empty"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    assert refused(tmp_path, "a.docx", ole).reason == "encrypted"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("other.txt", "no document")
    assert refused(tmp_path, "a.docx", out.getvalue()).reason == "damaged"


def test_docx_that_unfolds_without_end(tmp_path: Path) -> None:
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", f"{entities}<w:document {W}>&b;</w:document>")
    assert refused(tmp_path, "a.docx", out.getvalue()).reason == "damaged"


def test_docx_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmops_kernel.rag.reading.formats.docx._MAX_XML", 10_000)
    assert refused(tmp_path, "a.docx", docx(paragraph("x" * 20_000))).reason == "too large"
