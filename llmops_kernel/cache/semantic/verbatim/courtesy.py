"""What people say around a question without changing it: greetings, thanks, requests for help.

Taken off at both ends only, and not at all from texts that talk about words ("how do you say
thank you in French"), where a greeting may be what is asked about.
"""

from __future__ import annotations

import re

_TO_WHOM = (
    r"there|team|all|everyone|everybody|guys|folks|again|support|support team|friend|friends|sir|"
    r"madam|sir or madam|sir/madam|sirs|customer service|customer support|customer care|bot|mate|"
    r"buddy|assistant"
)
_TITLES = r"(?!\s+(?:kitty|world|jude|fresh|games?|neighbou?r|dolly|goodbye|magazine)\b)"
_STOP = r"(?:\s*[,.!?:;\-~]+\s*|\s+)"
_HARD_STOP = r"\s*[,.!?:;\-~)\n]+\s*"

_GREETING = re.compile(
    rf"^(?:hi+|hello|helo|hey+|hiya|howdy|heya|greetings|salutations)\b{_TITLES}"
    rf"(?:\s+(?:{_TO_WHOM})\b)?{_STOP}"
    rf"|^(?:good\s+(?:morning|afternoon|evening|day)|g'day|morning|evening|afternoon|yo|hi|hello|"
    rf"hey|dear)(?:\s+(?:to you|{_TO_WHOM})\b)?{_HARD_STOP}"
    rf"|^good\s+(?:morning|afternoon|evening|day)(?:\s+(?:to you|{_TO_WHOM})\b)?\s+"
    r"(?=(?:i|how|what|when|where|which|why|who|can|could|do|does|is|are|my|would|will|please|"
    r"should|if|there|the)\b)"
    rf"|^dear\s+(?:{_TO_WHOM})\b{_STOP}",
    re.IGNORECASE,
)
_GREETING_APART = re.compile(
    rf"^(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: (?:{_TO_WHOM}))?\s*[,.!\n]+\s*",
    re.IGNORECASE,
)
_NAMED = re.compile(r"^(?:[Hh]i|[Hh]ello|[Hh]ey|[Dd]ear|HI|HELLO)\s+[A-Z][a-z]+\s*[,!:\n]\s*")
_ASKS_FOR_HELP = (
    r"(?:(?:so )?i (?:urgently |really )?need (?:(?:some|urgent|your) )*(?:help|assistance)"
    r"(?: urgently| please| right now)?|"
    r"(?:can|could|will|would) (?:you|u|someone|anyone) (?:please |pls |kindly )?"
    r"(?:help|assist|advise)(?: me)?(?: (?:out|please|pls))*(?: (?:with|in) (?:this|that|it))?|"
    r"(?:can|could) i (?:please )?get (?:some )?(?:help|assistance)|"
    r"(?:please |pls )?help(?: me)?(?: (?:please|pls|out|urgently))*"
    r"(?: (?:with|in) (?:this|that|it))?|please assist(?: me)?)"
)
_OPENING = re.compile(
    r"^(?:please|kindly|pls|plz|thanks|thank you|ok|okay|um+|uh+|hm+|erm?|oh|btw|by the way|"
    r"sorry(?: to (?:bother|disturb|trouble) (?:you|u))?|excuse me|pardon me|"
    r"(?:i )?hope (?:(?:you|u)(?:'re| are|re)?|all is|this (?:finds|message finds|email finds) you)"
    r"(?: all)?(?: doing)?(?: very)? well(?: today)?|how are you(?: doing)?(?: today)?|"
    r"(?:i have|i've got|i've|i got|got|just|i just have|may i ask|can i ask)?\s*(?:a |one )?"
    r"(?:quick |short |small |simple |little )(?:question|query|one)(?: for you)?|"
    r"(?:i have|i've got|i've|ive) (?:a|one) question|question|help)"
    rf"(?:{_HARD_STOP}|(?<=please)\s+|(?<=kindly)\s+|(?<=pls)\s+|(?<=plz)\s+|(?<=excuse me)\s+)"
    rf"|^{_ASKS_FOR_HELP}{_HARD_STOP}",
    re.IGNORECASE,
)
_SO = re.compile(
    r"^(?:so|well|and|ok|okay|oh|um+|uh+|hm+|erm?)(?:\s*[,.]+\s*|(?<=uh|um|ok)\s+)", re.IGNORECASE
)
_SO_WHAT = re.compile(
    r"^(?:so|ok|okay|um+|uh+)\s+(?=(?:how|what|when|where|why|which|who|can|could|do|does|is|are|will|would|"
    r"should|i|my|please|pls|if)\b)",
    re.IGNORECASE,
)
_THANKS = (
    r"(?:many thanks|thanks|thank you|thank u|thx|thnx|tnx|ty|cheers|much obliged|tia)"
    r"(?:\s+(?:so much|very much|a lot|a bunch|a million|a ton|in advance|again|kindly|much|"
    r"(?:so much |very much |a lot )?"
    r"(?:in advance|for (?:your|the|any) (?:help|time|support|assistance))))*"
    rf"(?:\s+(?:{_TO_WHOM})\b)?"
)
_CLOSING = re.compile(
    rf"(?:{_HARD_STOP}|\s+)(?:{_THANKS}|please|pls|plz|kindly)[\s.,!?~)]*$"
    r"|(?<!you)(?<!\bto)(?<!one)(?<!\bu)(?<!\bi)(?<!\band)\s+"
    r"(?:please|pls|plz) (?:help|assist|advise)(?: me)?"
    r"[\s.,!?~)]*$"
    rf"|{_HARD_STOP}(?:(?:kind |best |warm )?regards|have a (?:nice|great|good|lovely) "
    r"(?:day|one|evening|weekend|afternoon)|"
    r"(?:can|could|would|will) (?:you|u|someone|anyone|anybody|somebody) (?:please |pls |kindly )?"
    r"(?:help|assist|advise)(?: me)?(?: out)?(?: with (?:this|that|it))?(?: please| pls)?|"
    r"(?:please|pls|plz|kindly) (?:help|assist|advise|let me know)(?: me)?(?: out)?|"
    r"help(?: me)?(?: please| pls| plz)?|help me out|any help(?: (?:is|would be|will be))? "
    r"(?:much |greatly |really )?(?:appreciated|welcome)|any help|any ideas?|"
    r"(?:i(?:'d| would) )?(?:really |greatly |much )?appreciated?"
    r"(?: it| your help| any help| the help)?|"
    r"(?:i )?look(?:ing)? forward to (?:hearing from you|your (?:reply|answer|response))|"
    r"bye|goodbye|"
    rf"(?:just )?(?:wondering|curious|asking)|let me know)[\s.,!?~)]*$"
    rf"|{_HARD_STOP}{_ASKS_FOR_HELP}[\s.,!?~)]*$",
    re.IGNORECASE,
)
_ABOUT_WORDS = re.compile(
    r"\b(?:say|saying|translat\w*|phrases?|spell\w*|pronounc\w*|greet|greeting|repl(?:y|ies)|"
    r"respond\w*|writ\w+|synonyms?|antonyms?|rhymes?|songs?|lyrics|movies?|films?|poems?|jokes?|"
    r"languages?|polite\w*|grammar|etymology|definition|define|"
    r"in (?:spanish|french|german|italian|portuguese|dutch|chinese|japanese|korean|russian|hindi|"
    r"arabic|latin|greek|turkish|polish|swedish|finnish|danish|norwegian|english|swahili|thai))\b",
    re.IGNORECASE,
)
# These often only report ("it says pending"): what stands in a sentence of its own may go.
_REPORTS = re.compile(
    r"\b(?:says|said|words?|mean(?:s|ing|t)?|called|titles?|titled|sentences?|reads?)\b",
    re.IGNORECASE,
)
_OWN_SENTENCE = re.compile(rf"(?<=[.?!])\s+(?:{_THANKS})[\s.,!?~)]*$", re.IGNORECASE)
_POLITE_WORD = re.compile(r"(?<![\w'-])(?:please|pls|plz|plse|kindly)(?![\w'-])[,]?", re.IGNORECASE)
_ROUNDS = 6


def talks_about_words(text: str) -> bool:
    """Tell whether a text may be about the very words that are courtesy elsewhere."""
    return _ABOUT_WORDS.search(text) is not None


def without_courtesy(text: str) -> str:
    """Return a composed text without what is said around its question.

    A text that is nothing but courtesy, or that talks about words, comes back as it is.
    """
    if talks_about_words(text):
        return text
    kept = text
    if _REPORTS.search(text):
        kept = _OWN_SENTENCE.sub("", kept, count=1)
        return _GREETING_APART.sub("", kept, count=1) or text
    for _ in range(_ROUNDS):
        before = kept
        for lead in (_NAMED, _GREETING, _OPENING, _SO, _SO_WHAT):
            kept = lead.sub("", kept, count=1)
        kept = _CLOSING.sub("", kept, count=1)
        if kept == before:
            break
    kept = _POLITE_WORD.sub(" ", kept)
    return kept if len(re.findall(r"\w+", kept)) > 1 else text
