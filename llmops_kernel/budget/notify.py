"""Sends alerts: JSON webhooks and mail from the standard library, the rest through Apprise.

Never in the path of a call: a background task of the session sends what the ledger recorded. An
alert is claimed in the record before it is sent, so that one of many processes sends it.
"""

from __future__ import annotations

import json
import logging
import smtplib
import urllib.request
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from llmops_kernel.errors import MissingExtra, StoreError
from llmops_kernel.store import ledger_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)
_TIMEOUT = 10.0


def send_alerts(store: Store, send: Callable[[str, str], None] | None = None) -> int:
    """Send every alert that nobody has sent yet; return how many were sent.

    A target that fails is logged (without its URL, which may hold a password) and not tried
    again: the banner in the notebook and the log remain.
    """
    send = send or deliver
    sent = 0
    for key, step, sentence, targets in ledger_rows.unsent_alerts(store):
        with store.transaction() as tx:
            if not ledger_rows.claim_alert(tx, key, step):
                continue
        for target in json.loads(targets):
            try:
                send(target, sentence)
                sent += 1
            except (OSError, ValueError, smtplib.SMTPException, MissingExtra, StoreError) as error:
                kind = urlsplit(target).scheme
                _log.warning("An alert could not be sent by %s: %s", kind, type(error).__name__)
    return sent


def deliver(target: str, sentence: str) -> None:
    """Send one sentence to one target.

    Args:
        target: ``https://...`` or ``http://...`` gets a JSON POST (``{"text", "source"}``);
            ``mailto:you@example.org?smtp=host:port`` a mail; anything else is an Apprise URL.
        sentence: What to say.

    Raises:
        MissingExtra: The target needs Apprise, which is not installed.
        OSError: The target cannot be reached.
    """
    scheme = urlsplit(target).scheme
    if scheme in ("http", "https"):
        body = json.dumps({"text": sentence, "source": "llmops-kernel"}).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was just checked
            target, body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
            return
    if scheme == "mailto":
        _mail(target, sentence)
        return
    try:
        import apprise
    except ImportError as error:
        raise MissingExtra("alerts", "apprise") from error
    sender = apprise.Apprise()
    if not sender.add(target) or not sender.notify(body=sentence, title="llmops budget"):
        raise OSError("the notification service refused")


def _mail(target: str, sentence: str) -> None:
    parts = urlsplit(target)
    server = parse_qs(parts.query).get("smtp", ["localhost:25"])[0]
    host, _, port = server.partition(":")
    message = EmailMessage()
    message["Subject"] = "llmops budget alert"
    message["From"] = message["To"] = unquote(parts.path)
    message.set_content(sentence)
    with smtplib.SMTP(host, int(port or 25), timeout=_TIMEOUT) as smtp:
        smtp.send_message(message)
