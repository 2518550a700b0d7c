"""One spelling per word: contractions in full, British as American, chat forms written out."""

from __future__ import annotations

import re
from functools import lru_cache

from llmops_kernel.cache.semantic.verbatim.lexicon import is_word
from llmops_kernel.cache.semantic.verbatim.words import words

_IRREGULAR = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not",
    "ain't": "ain't", "let's": "lets", "y'all": "you all", "o'clock": "oclock", "'cause": "because",
    "cant": "can not", "wont": "will not", "dont": "do not", "doesnt": "does not",
    "didnt": "did not", "isnt": "is not", "arent": "are not", "wasnt": "was not",
    "werent": "were not", "hasnt": "has not", "havent": "have not", "hadnt": "had not",
    "shouldnt": "should not", "wouldnt": "would not", "couldnt": "could not",
    "mustnt": "must not", "neednt": "need not", "im": "i am", "ive": "i have",
    "youre": "you are", "youve": "you have", "youll": "you will", "theyre": "they are",
    "theyve": "they have", "theyll": "they will", "weve": "we have", "thats": "that is",
    "theres": "there is", "whats": "what is", "wheres": "where is", "whos": "who is",
    "hows": "how is", "whens": "when is", "whys": "why is", "heres": "here is",
    "shes": "she is", "hes": "he is", "itll": "it will", "thatll": "that will",
    "gonna": "going to", "wanna": "want to", "gotta": "got to", "lemme": "let me",
    "gimme": "give me", "dunno": "do not know", "cuz": "because", "coz": "because",
    "bc": "because", "till": "until", "til": "until", "thru": "through", "u": "you", "ur": "your",
    "ya": "you", "pls": "please", "plz": "please", "plse": "please", "okay": "ok",
    "acct": "account",
    "accts": "accounts", "txn": "transaction", "appt": "appointment", "mins": "minutes",
    "hrs": "hours", "secs": "seconds", "yrs": "years", "info": "information", "pic": "picture",
    "pics": "pictures", "pw": "password", "pwd": "password", "amt": "amount", "asap": "asap",
    "approx": "approximately", "vs": "versus", "alot": "a lot", "noone": "no one",
    "w/o": "without", "w/": "with", "b/c": "because", "adress": "address", "abit": "a bit",
    "percent": "%", "percentage": "percentage", "recieve": "receive", "recieved": "received",
    "plc": "plc", "ppl": "people", "msg": "message", "msgs": "messages", "bday": "birthday",
    "uk": "uk", "usa": "usa", "infos": "information",
}  # fmt: skip
_ENDINGS = {"n't": "not", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}
_IS_AFTER = words("what who where when why how it that there here he she this")
_AMERICAN = {
    "cheque": "check", "cheques": "checks", "chequebook": "checkbook", "licence": "license",
    "licences": "licenses", "practise": "practice", "grey": "gray", "centre": "center",
    "centres": "centers", "theatre": "theater", "theatres": "theaters", "litre": "liter",
    "litres": "liters", "fibre": "fiber", "defence": "defense", "offence": "offense",
    "enquiry": "inquiry", "enquiries": "inquiries", "enquire": "inquire", "catalogue": "catalog",
    "catalogues": "catalogs", "dialogue": "dialog", "programme": "program",
    "programmes": "programs", "judgement": "judgment", "ageing": "aging", "tyre": "tire",
    "tyres": "tires", "aluminium": "aluminum", "jewellery": "jewelry", "pyjamas": "pajamas",
    "enrol": "enroll", "enrolment": "enrollment", "fulfil": "fulfill", "instalment": "installment",
    "instalments": "installments", "skilful": "skillful", "cosy": "cozy", "sceptical": "skeptical",
    "plough": "plow", "mould": "mold", "moustache": "mustache", "favourite": "favorite",
    "favourites": "favorites", "learnt": "learned", "spelt": "spelled", "whilst": "while",
    "amongst": "among", "acknowledgement": "acknowledgment", "analyse": "analyze",
    "analysed": "analyzed", "paralyse": "paralyze", "organisation": "organization",
    "organisations": "organizations", "authorisation": "authorization", "kerb": "curb",
}  # fmt: skip
_OUR = re.compile(
    r"^(behavi|col|fav|flav|harb|hon|hum|lab|neighb|rum|vap|arm|endeav|sav|parl|od|vig)our"
    r"(s|ed|ing|ful|less|able|ite|hood|al|y)?$"
)
_ISE = re.compile(r"^(\w{3,})is(e|es|ed|ing|er|ers|ation|ations|able)$")
_DOUBLE_L = re.compile(r"^(\w{2,}[aeiou])ll(ed|ing|er|ers|ation)$")
_SLIPPED = {
    "teh": "the", "hte": "the", "adn": "and", "nad": "and", "yuo": "you", "oyu": "you",
    "hwo": "how", "ohw": "how", "cna": "can", "acn": "can", "nto": "not", "ont": "not",
    "ofr": "for", "waht": "what", "wath": "what", "hwat": "what", "wiht": "with", "whit": "with",
    "taht": "that", "htat": "that", "wehn": "when", "whne": "when", "rae": "are", "aer": "are",
    "dose": "does", "ahve": "have", "hvae": "have", "thsi": "this", "tihs": "this", "ym": "my",
}  # fmt: skip
del _SLIPPED["dose"], _SLIPPED["ont"], _SLIPPED["whit"]  # words of their own, or too far off


def spelled_out(word: str) -> tuple[str, ...]:
    """Return a lower-case word in its one spelling: no, one or several words."""
    if word in _IRREGULAR:
        return tuple(_american(part) for part in _IRREGULAR[word].split())
    if word in _SLIPPED:
        return (_SLIPPED[word],)
    if "'" in word:
        return _without_apostrophe(word)
    return (_american(word),)


def _without_apostrophe(word: str) -> tuple[str, ...]:
    for ending, full in _ENDINGS.items():
        if word.endswith(ending) and len(word) > len(ending):
            return (*spelled_out(word[: -len(ending)]), full)
    if word.endswith("'s"):
        owner = word[:-2]
        if owner in _IS_AFTER:
            return (owner, "is")
        return (f"{_american(owner)}'s",)
    return (word,)


@lru_cache(maxsize=20_000)
def _american(word: str) -> str:
    if word in _AMERICAN:
        return _AMERICAN[word]
    if match := _OUR.match(word):
        return f"{match[1]}or{match[2] or ''}"
    if (match := _ISE.match(word)) and is_word(american := f"{match[1]}iz{match[2]}"):
        # Never the other way: advise and advertise have no z.
        return american
    if (match := _DOUBLE_L.match(word)) and is_word(base := match[1] + "l") and len(base) > 4:
        # cancelled, travelling; but called, filled and selling keep both.
        return word if is_word(base + "l") else f"{base}{match[2]}"
    return word
