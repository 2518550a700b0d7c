"""What the exports of one run share: what was asked, and the merged weights, made once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.export import reference, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.errors import LLMOpsError
    from llmops_kernel.finetune.agreement import Parity


class Work:
    """What several exports share: the merged weights, made once and kept only if asked for.

    Args:
        run: What the run was asked.
        checkpoint: The trained adapter or model.
        out: The folder of the exports.
        keep_merged: Whether the merged weights are an export themselves.
    """

    def __init__(
        self, run: dict[str, Any], checkpoint: Path, out: Path, *, keep_merged: bool
    ) -> None:
        self.run, self.checkpoint, self.out = run, checkpoint, out
        self._folder = out / "merged" if keep_merged else out / ".merged"
        self._kept = keep_merged
        self._facts: dict[str, Any] | None = None
        self._error: Exception | None = None

    @property
    def base(self) -> Path:
        """The folder of the base model."""
        return Path(setting(self.run, "base"))

    def setting(self, name: str, default: Any = "") -> Any:
        """Return what the run was asked."""
        return setting(self.run, name, default)

    def merged(self) -> tuple[Path, dict[str, Any]]:
        """Return the folder of merged weights, and the facts about them."""
        if self._error is not None:
            raise self._error
        if self._facts is None:
            part = self.out / ".merging"
            shutil.rmtree(part, ignore_errors=True)
            try:
                self._facts = weights.merge(self.checkpoint, part, str(self.base))
                shutil.rmtree(self._folder, ignore_errors=True)
                part.replace(self._folder)
                self._refer()
            except Exception as error:
                self._facts, self._error = None, error
                shutil.rmtree(part, ignore_errors=True)
                raise
        return self._folder, self._facts

    def _refer(self) -> None:
        """Write what the merged model answers, for `finetune.parity`."""
        answers = reference.reference(
            self._folder, reference.prompts_of(self.setting("probes", None))
        )
        text = json.dumps(answers, ensure_ascii=False, indent=1)
        (self.out / "reference.json").write_text(text + "\n", encoding="utf-8")

    def read_back(self, path: Path, answers: Mapping[str, Any]) -> Parity:
        """Compare a GGUF file where there is no engine."""
        from llmops_kernel.finetune.export.reread import compare_file

        return compare_file(path, answers, self._folder / "config.json")

    def close(self) -> None:
        """Remove what nobody asked for."""
        for name in (".merging", *(() if self._kept else (".merged",))):
            shutil.rmtree(self.out / name, ignore_errors=True)


def setting(run: dict[str, Any], name: str, default: Any = "") -> Any:
    """Return what a run was asked: a key of its own, or one of its ``spec``."""
    for place in (run, run.get("spec") or {}):
        if place.get(name) is not None:
            return place[name]
    return default


def said(error: LLMOpsError) -> str:
    """Return an error as one line of a result."""
    return f"{error.message}: {error.detail}" if error.detail else error.message
