"""OpenAI's tokenizers, if they are on this machine already.

tiktoken downloads its data at first use. Here it never does: the data are looked for where tiktoken
keeps them and where llama-index brings them along, and checked, before tiktoken is asked. Loading
takes half a second, so it happens on a thread of its own; until it is done there is no tokenizer.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import sha1, sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
# By the start of the model's name; the first that fits counts.
_MODELS = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4-mini", "o200k_base"),
    ("ft:gpt-4o", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
    ("text-embedding-3", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
)


class Tokenizer(Protocol):
    """Turns text into token ids."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the token ids of a text; nothing in it has a special meaning."""
        ...


_loaded: dict[str, Tokenizer | None] = {}
_loading: dict[str, Thread] = {}
_lock = Lock()


def tokenizer_of(model: str, *, wait: bool = False) -> Tokenizer | None:
    """Return the tokenizer of a model, or None when it is unknown, not here, or still loading.

    Args:
        model: The model's name, bare or with providers before it.
        wait: Whether to wait for loading.
    """
    if model.startswith(("sim/", "offline/")):
        return None
    bare = model.rpartition("/")[2]
    name = next((name for start, name in _MODELS if bare.startswith(start)), None)
    if name is None:
        return None
    if name not in _loaded:
        _begin(name)
        if wait:
            _loading[name].join()
    return _loaded.get(name)


def _begin(name: str) -> None:
    with _lock:
        if name not in _loading:
            thread = Thread(target=_load, args=(name,), name=f"llmops-{name}", daemon=True)
            _loading[name] = thread
            thread.start()


def _load(name: str) -> None:
    folder = _folder_with(name) if find_spec("tiktoken") else None
    _loaded[name] = _from_folder(name, folder) if folder else None


def _from_folder(name: str, folder: Path) -> Tokenizer | None:
    import tiktoken

    with _lock:  # one at a time: the variable belongs to the whole process
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            return tiktoken.get_encoding(name)
        except (OSError, ValueError):
            return None
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before


def _folder_with(name: str) -> Path | None:
    """Return the folder that has the data of a tokenizer, whole and unchanged."""
    key = sha1(_URL.format(name).encode(), usedforsecurity=False).hexdigest()
    for folder in _folders():
        try:
            data = (folder / key).read_bytes()
        except OSError:
            continue
        if sha256(data).hexdigest() == _SHA256[name]:
            return folder
    return None


def _folders() -> Iterator[Path]:
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if folder := os.environ.get(variable):
            yield Path(folder)
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    try:
        spec = find_spec("llama_index.core")
    except ModuleNotFoundError:
        return
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "_static" / "tiktoken_cache"
