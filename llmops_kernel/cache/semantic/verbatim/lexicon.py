"""Which English words exist.

A misspelling is only forgiven where exactly one side is a word: "crad" beside "card" is a slip,
"cost" beside "lost" is another question. The words are the whole ones of the built-in embedder's
vocabulary (it holds no common misspelling), newer words of everyday service talk, and whatever
English word formation makes of them: treating "unblock" or "payee" as unknown would let them pass
for misspellings of "unlock" and "payer".
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

from llmops_kernel.cache.semantic.verbatim.words import words as _words

_RECENT = _words(
    """
    abort account accounts accrued acct advert amex app apps atm atms authorize autopay autosave
    backup bake beneficiaries beneficiary bitcoin blockchain bnpl broadband calorie calories
    cashback chargeback chargebacks chatbot checkbooks checkbox checkout cheque chequebook
    cheques citizenship configure contactless courier crypto cryptocurrency debit deductible
    delete deleted deleting deletion direct dropdown ebook email emails ethereum expiration
    expire expired expires expiring expiry fiat fraudster freelancer geolocation hashtag
    helpdesk helpline homepage hotspot iban inbox insurer invoice invoices itinerary kyc laptop
    login logins logout lounge mastercard merchant mileage mobile mortgage mortgages newsletter
    notify offline ombudsman onboarding online opt overcharge overcharged overdraft overdrafts
    overdraw overdrawn passcode passcodes password passwords paycheck paychecks payday payee
    payees payer payers payout payouts paypal payroll payslip payslips paywall phishing
    photocopy pincode playlist podcast postcode postcodes preorder prepaid prepay prepayment
    printout puk questionnaire rebate reboot recharge redeem refinance refund refundable
    refunded refunding refunds remit remittance renewal reschedule rescind resend reset resubmit
    retailer revert reverted roaming rollover router scam scammed scammer screenshot screenshots
    selfie sepa signup sim skype smartphone smartwatch sort spam spammer spreadsheet standby
    startup statement subscription subscriptions surcharge surcharges swift takeaway tax
    thermostat timeline timetable timezone topup topups touchscreen tracker troubleshoot unblock
    unfreeze unlink unlock unsubscribe upgrade upload uploads url username usernames vape vat
    verification verify videochat virtual visa voicemail voucher vouchers waitlist wallet
    webinar website websites whatsapp wifi withdrawal withdrawals workout zip
    """
)
_PREFIXES = ("un", "re", "dis", "de", "pre", "non", "mis", "over", "under", "in", "im", "out", "co")
# Endings that take a stem as it is, ones that take the place of its last e, and after what.
_AFTER_E = ("d", "r", "rs")
_PLAIN = (
    "s", "ed", "ing", "er", "ers", "or", "ors", "ee", "ees", "ly", "able", "ment", "ments", "al",
    "als", "ness", "less", "ful", "ion", "ions", "ation", "ist",
)  # fmt: skip
_INSTEAD_OF_E = ("ed", "ing", "er", "ers", "or", "ors", "able", "ion", "ions", "ation", "al")
_SHORTEST_STEM = 4


@cache
def _vocabulary() -> frozenset[str]:
    text = files("llmops_kernel.embed").joinpath("minilm/vocab.txt").read_text(encoding="utf-8")
    return _RECENT.union(
        word for word in text.split("\n") if len(word) > 1 and word.isascii() and word.isalpha()
    )


@lru_cache(maxsize=20_000)
def is_word(text: str) -> bool:
    """Tell whether a lower-case text is an English word, or formed like one."""
    if text in _vocabulary() or _inflected(text):
        return True
    return any(
        text.startswith(prefix)
        and len(rest := text[len(prefix) :]) >= _SHORTEST_STEM
        and (rest in _vocabulary() or _inflected(rest))
        for prefix in _PREFIXES
    )


def _inflected(text: str) -> bool:
    words = _vocabulary()
    for suffix in _PLAIN:
        stem = text[: -len(suffix)]
        if not text.endswith(suffix) or len(stem) < _SHORTEST_STEM:
            continue
        if stem in words and stem[-1] != "e" and not (suffix == "s" and stem[-1] == "s"):
            return True
        if suffix == "s" and stem[-1] == "e" and stem in words:
            return True
        if suffix in _INSTEAD_OF_E and (stem + "e" in words or _doubled(stem, words)):
            return True
    if any(text.endswith(suffix) and text[: -len(suffix)] in words
           and text[: -len(suffix)].endswith("e") and len(text) > _SHORTEST_STEM
           for suffix in _AFTER_E):  # fmt: skip
        return True
    hissed = text[:-2]
    if (
        text.endswith("es")
        and hissed in words
        and hissed.endswith(("s", "x", "z", "ch", "sh", "o"))
    ):
        return True
    return text.endswith(("ies", "ied")) and text[:-3] + "y" in words


def _doubled(stem: str, words: frozenset[str]) -> bool:
    return stem[-1] == stem[-2] and stem[:-1] in words
