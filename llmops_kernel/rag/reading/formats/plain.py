"""Plain text, and rich text without its formatting."""

from __future__ import annotations

from llmops_kernel.rag.reading.decode import decode
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.unreadable import Unfit


def parse(raw: Raw) -> Parsed:
    """Return a text file's text."""
    return Parsed(decode(raw.data, raw.charset), "text")


def parse_rtf(raw: Raw) -> Parsed:
    """Return the text of an RTF file, through LlamaIndex's reader, which takes a path."""
    if not raw.data.lstrip().startswith(b"{\\rtf"):
        raise Unfit("damaged", "not RTF")
    import tempfile
    from pathlib import Path

    from llama_index.readers.file.rtf import RTFReader

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "document.rtf")
        # RTF is ASCII; the reader opens it in the machine's own encoding.
        path.write_bytes(raw.data.decode("ascii", "replace").encode("ascii", "replace"))
        try:
            text = RTFReader().load_data(path)[0].text
        except Exception as error:  # striprtf raises whatever it stumbles over
            raise Unfit("damaged", str(error)) from error
    return Parsed(text.replace("\r\n", "\n").replace("\r", "\n"), "text")
