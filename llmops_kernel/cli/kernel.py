"""``llmops kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "Install the llmops kernel for Jupyter, or list where it is"


def add(parser: Parser) -> None:
    """Declare the arguments."""
    parser.set_defaults(call=_help(parser))
    verbs = parser.verbs("kernel_verb", title="verbs")
    text = "Offer the llmops kernel in Jupyter, with this Python"
    install = verbs.add_parser("install", help=text, description=f"{text}.")
    place = install.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="for this user, in every environment")
    place.add_argument("--sys-prefix", action="store_true", help="in this environment (default)")
    place.add_argument("--prefix", metavar="DIR", help="in DIR/share/jupyter/kernels")
    json_flag(install)
    install.set_defaults(call=_install)
    text = "List the kernels that Jupyter finds here"
    found = verbs.add_parser("list", help=text, description=f"{text}.")
    json_flag(found)
    found.set_defaults(call=_list)


def _help(parser: Parser) -> object:
    def call(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return call


def _install(arguments: argparse.Namespace) -> int:
    from llmops_kernel.kernel.install import install

    folder = install(user=arguments.user, sys_prefix=arguments.sys_prefix, prefix=arguments.prefix)
    if arguments.json:
        say_json({"installed": str(folder)})
    else:
        say(f"Installed: {folder}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from jupyter_client.kernelspec import KernelSpecManager

    from llmops_kernel.display import table

    found = sorted(KernelSpecManager().get_all_specs().items())
    facts = [
        {
            "name": name,
            "folder": entry["resource_dir"],
            "python": entry["spec"]["argv"][0],
            "metered": "llmops_kernel.kernel" in entry["spec"]["argv"],
        }
        for name, entry in found
    ]
    if arguments.json:
        say_json(facts)
        return 0
    rows = [
        (each["name"], "yes" if each["metered"] else "no", each["python"], each["folder"])
        for each in facts
    ]
    say(table(("Kernel", "Metered", "Runs", "Folder"), rows, "Kernels")[1])
    return 0
