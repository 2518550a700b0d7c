"""``%%finetune`` and ``%finetune``: a small model for one job, checked before it costs hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import cell_magic, line_magic, magics_class, no_var_expand

from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, Magic, argument, parsed, subcommand

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune
    from llmops_kernel.magics.finetune_results import FineTuneRun, Log, PreflightPage, RunList

_RUN = argument("run", nargs="?", metavar="NAME", help="a model's newest run, or NAME/RUN_ID")
_BACKENDS = ("auto", "trl", "unsloth", "axolotl", "axolotl-export")
_DETACH = argument(
    "--detach", action="store_true", help="return at once; %%finetune status shows it"
)


def _typed_as_finetune(method: Magic) -> Magic:
    """Name both methods in help and errors as people type them."""
    method.argcmd_name = "finetune"  # type: ignore[attr-defined]
    return method


@magics_class
class FineTuneMagics(SessionMagics):
    """``%finetune`` and ``%%finetune``."""

    @no_var_expand
    @line_magic("finetune")  # type: ignore[arg-type]  # IPython's hints forget this form
    @parsed
    @subcommand("status", _RUN, OUT, QUIET, help="show a run (the newest; the default)")
    @subcommand("list", _RUN, OUT, QUIET, help="list runs, newest first")
    @subcommand("preflight", _RUN, OUT, QUIET, help="show the checks before it, and what is learnt")
    @subcommand("stop", _RUN, OUT, QUIET, help="write a checkpoint and end")
    @subcommand(
        "resume", _RUN, _DETACH, OUT, QUIET, help="go on with a run from its last checkpoint"
    )
    @subcommand(
        "logs",
        _RUN,
        argument("-n", "--lines", type=int, default=40, metavar="N", help="how many (40)"),
        OUT,
        QUIET,
        help="show what the training's libraries printed",
    )
    @_typed_as_finetune
    def finetune_line(self, line: str) -> FineTuneRun | RunList | PreflightPage | Log | None:
        """Look at fine-tuning runs, stop them and go on with them.

        Runs outlive the kernel. %%finetune starts one. In a notebook a run is shown live while it
        goes on, with a button that stops it; in JupyterLab also while a cell runs. Elsewhere
        interrupt the cell (■) that waits for it: that stops it too, with a checkpoint.

        Examples: ``%finetune``, ``%finetune stop support-intent``, ``%finetune logs -n 100``.
        """
        args = parse(FineTuneMagics.finetune_line, line)
        if args is None:
            return None
        from llmops_kernel.finetune.runs import find_run, list_runs, resume
        from llmops_kernel.magics.finetune_results import FineTuneRun, Log, PreflightPage, RunList

        stable, live = self._looks
        result: Any
        if args.verb == "list":
            return self.finish(args, RunList(tuple(list_runs(args.run)), stable))
        run = find_run(args.run)
        if args.verb == "preflight":
            result = PreflightPage(run.folder.read_json(run.folder.preflight), stable)
        elif args.verb == "logs":
            result = Log(run.log(max(args.lines, 1)))
        elif args.verb == "resume":
            result = self._watched(resume(run), detach=args.detach, quiet=args.quiet)
        else:
            if args.verb == "stop":
                run.stop()
            result = FineTuneRun(run, stable, live)
        found: FineTuneRun | RunList | PreflightPage | Log | None = self.finish(args, result)
        return found

    @no_var_expand
    @cell_magic("finetune")  # type: ignore[arg-type]
    @parsed
    @argument("name", metavar="NAME", help="name of the model; one run of a name at a time")
    @argument("--backend", choices=_BACKENDS, help="what trains, over the cell's backend.name")
    @_DETACH
    @argument("--dry-run", action="store_true", help="make the pre-flight and train nothing")
    @OUT
    @QUIET
    @_typed_as_finetune
    def finetune_cell(self, line: str, cell: str) -> FineTuneRun | None:
        """Fine-tune a model in a process of its own.

        The lines below are YAML. base and data are needed; all others have defaults::

            task: chat                  # chat, completion or classify
            base: ./models/tiny-base    # a folder, a registered name@version, or a hub id
            data: {path: train.jsonl}   # messages, prompt-completion, ShareGPT, Alpaca, CSV, ...
            method: lora                # full, lora or qlora
            train: {epochs: 3, batch: 8, lr: 2e-4}
            limits: {wall: 10m, memory: 8GiB}
            export: [adapter, merged, "gguf:q8_0", ollama-modelfile]
            register: support-intent

        Example: ``%%finetune support-intent --detach``.
        """
        try:
            args = parse(FineTuneMagics.finetune_cell, line, sigil="%%")
        except UsageProblem as problem:
            problem.hint = problem.hint.replace("%finetune --help", "%%finetune --help")
            raise
        if args is None:
            return None
        from llmops_kernel.finetune.runs import start
        from llmops_kernel.finetune.spec.reading import read_spec

        session = self._source.get()
        spec = read_spec(cell, first_line=2)
        if args.backend:
            backend = spec.backend.model_copy(update={"name": args.backend})
            spec = spec.model_copy(update={"backend": backend})
        run = start(spec, args.name, text=cell, store=session.store, only_preflight=args.dry_run)
        return self.finish(args, self._watched(run, detach=args.detach, quiet=args.quiet))

    @property
    def _looks(self) -> tuple[bool, bool]:
        """Whether outputs must be the same in each run; whether a front end may show widgets."""
        stable = self._source.get().settings.static
        return stable, not stable and getattr(self.shell, "kernel", None) is not None

    def _watched(self, run: FineTune, *, detach: bool, quiet: bool) -> FineTuneRun:
        """Watch a run to its end, unless it is to run on alone.

        An interrupt stops the run, which writes a checkpoint first; a view with a button goes on
        showing it until then.

        Raises:
            RunFailed: It did not reach its end; what it came to is shown before.
        """
        from IPython.display import display

        from llmops_kernel.finetune.runs import raise_unless_done
        from llmops_kernel.magics._finetuning import Lines, LiveView, WidgetView
        from llmops_kernel.magics.finetune_results import FineTuneRun

        stable, live = self._looks
        result = FineTuneRun(run, stable, live)
        if detach:
            return result
        watch = None if quiet else Lines() if stable else WidgetView() if live else LiveView()
        try:
            outcome = run.wait(watch=watch or (lambda _: None))
        except KeyboardInterrupt:
            run.stop("interrupted")
            if watch is not None and not live:
                watch.close()
            raise
        if watch is not None:
            watch.close()
        if outcome["state"] not in ("done", "checked", "written") and not quiet:
            display(result)  # type: ignore[no-untyped-call]
        raise_unless_done(run)
        return result
