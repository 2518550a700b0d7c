"""Word lists of the offline model: plain data, no logic."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set; lists of words are easier to read that way."""
    return frozenset(text.split())


STOP_WORDS = word_set("""
    a about above after again against ago all also am an and another any anybody anyone anything
    are around as at back be became because become been before being below between both but by can
    come could did do does doing done down during each either else ever every everyone everything
    few for from further get gets getting go goes going got had has have having he her here hers
    herself him himself his how however i if in instead into is it its itself just kindly last let
    lets like many may me might mine more most much must my myself near need needs next now of off
    often ok okay on once one only onto or other others ought our ours ourselves out over own per
    please quite rather really same say says shall she should since so some somebody someone
    something still such take than that the their theirs them themselves then there these they
    thing things this those though through thus to too toward towards under until up upon us use
    used using very want wants was way we well were what whatever when whenever where whether which
    while who whoever whom whose why will with within would yes yet you your yours yourself hello hi
    hey thanks thank dear sir madam regards tell know give given find show explain describe
    mean means ask asked question answer according text context passage document following
    """)

NEGATIONS = word_set(
    "not no never none nothing nobody nowhere neither nor without cannot unable hardly"
)

# Inflected forms that suffix rules cannot bring together.
IRREGULAR = {
    form: base
    for base, forms in {
        "pay": "paid pays",
        "send": "sent",
        "lose": "lost loss losses losing",
        "steal": "stolen stole theft",
        "buy": "bought",
        "take": "took taken",
        "spend": "spent",
        "withdraw": "withdrew withdrawn withdrawal withdrawals",
        "arrive": "arrival arrivals",
        "approve": "approval approvals",
        "refuse": "refusal refusals",
        "renew": "renewal renewals",
        "make": "made",
        "hold": "held",
        "leave": "left",
        "meet": "met",
        "win": "won",
        "lead": "led",
        "begin": "began begun",
        "write": "wrote written",
        "break": "broke broken",
        "choose": "chose chosen choice",
        "freeze": "froze frozen",
        "keep": "kept",
        "sell": "sold sale sales",
        "build": "built",
        "child": "children",
        "man": "men",
        "woman": "women",
        "person": "people persons",
        "receive": "receipt",
        "deliver": "delivery deliveries",
        "expire": "expiry expiration",
        "deny": "denial",
        "complain": "complaint complaints",
        "weigh": "weight",
        "grow": "grew grown growth",
        "day": "daily",
        "week": "weekly",
        "month": "monthly",
        "year": "yearly annual annually",
        "die": "death died dead dying",
        "high": "height",
        "know": "knew known",
        "speak": "spoke spoken",
        "fall": "fell fallen",
        "rise": "rose risen",
        "draw": "drew drawn",
        "teach": "taught",
        "sit": "sat",
        "bring": "brought",
        "think": "thought",
        "marry": "marriage",
        "analyse": "analysis analyze",
    }.items()
    for form in forms.split()
}

# Groups of words that stand for one another in questions and answers; a match through a group
# counts less than the word itself.
SYNONYMS = tuple(
    tuple(group.split())
    for group in (
        "cost price fee charge expense rate pricing",
        "cancel terminate stop end close",
        "new replacement replace renew another",
        "begin start commence launch found establish",
        "purchase buy order",
        "phone telephone call mobile",
        "email mail e-mail",
        "stolen theft steal robbed pickpocket",
        "lost lose missing misplace vanish disappear gone",
        "freeze block lock suspend disable deactivate frozen",
        "unfreeze unblock unlock reactivate",
        "declined decline reject refuse fail denied deny",
        "refund reimburse chargeback repay",
        "fraud fraudulent scam suspicious unauthorised unauthorized hacked phishing",
        "deadline due latest",
        "duration long length period",
        "maximum limit cap most highest ceiling",
        "minimum least lowest",
        "deliver arrive ship delivery post",
        "transfer send wire remit remittance",
        "deposit topup top-up credited",
        "withdraw cash atm",
        "exchange convert conversion currency",
        "quick fast soon immediately quickly instant",
        "urgent immediately asap emergency critical urgently",
        "help support assist assistance",
        "contact reach call email write",
        "change update modify edit alter",
        "delete remove erase",
        "password passcode pin credential login",
        "open create register sign-up signup",
        "job work position employment employ",
        "company firm business organisation organization",
        "big large huge biggest largest",
        "small little tiny smallest",
        "required need necessary mandatory must",
        "allowed permit eligible entitled may",
        "identity passport verification verify id",
        "error problem issue bug broken crash fault",
        "angry upset furious frustrated annoyed unacceptable terrible",
        "happy love great excellent wonderful good satisfied pleased",
        "bad awful terrible poor horrible worst hate disappointing",
        "twice double duplicate",
        "salary wage income",
        "weekend saturday sunday",
        "overseas abroad foreign international travel",
        "live reside residence resident address",
        "car vehicle automobile",
        "writer author write wrote written",
        "boss chief head leader lead director chair president",
        "kill murder death die",
        "battle war fight",
        "film movie",
        "interest apr apy yield",
        "reply answer respond response",
    )
)

# How an instruction to the model begins, as opposed to a fact or a request about the world.
INSTRUCTION_VERBS = word_set("""
    act answer analyse analyze assign assume behave be cite choose classify categorise categorize
    compare compose consider convert decide detect determine draft evaluate explain extract fill
    format follow generate grade identify ignore imagine infer judge keep label list mark name
    output paraphrase pick predict pretend produce proofread provide quote rank rate read refine
    reformulate rephrase reword condense simplify
    reply respond return rewrite score select speak state stay summarise summarize sum-up tag think
    translate write
    """)

POSITIVE_VERDICTS = word_set("""
    yes true supported support faithful grounded correct right accurate pass passed relevant
    attributable entailed entailment consistent acceptable helpful useful good valid safe complete
    equivalent same match y attributed fully_supported approve approved
    """)
NEGATIVE_VERDICTS = word_set("""
    no false unsupported contradicted contradiction contradict contradictory unfaithful ungrounded
    incorrect wrong inaccurate fail failed irrelevant hallucinated hallucination refuted
    inconsistent unacceptable unhelpful useless bad invalid unsafe incomplete different
    n not_supported rejected reject
    """)
UNSURE_VERDICTS = word_set("""
    neutral unknown not_mentioned notmentioned unsure idk partial partially partially_supported
    unclear not_enough_info nei baseless no_info unverifiable maybe mixed ambiguous tie
    """)

NUMBER_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "ninety": 90, "hundred": 100,
}  # fmt: skip
