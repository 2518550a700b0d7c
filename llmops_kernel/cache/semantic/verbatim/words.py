"""The closed word classes of English that decide what a question is about."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Return the words of a text written one after another."""
    return frozenset(text.split())


ARTICLES = words("a an the")
QUESTION = words("what when where which who whom whose why how whether")
MODALS = words(
    "can could may might must shall should will would ought do does did am is are was were be "
    "been being have has had need needs dare able allowed"
)
AUXILIARIES = words(
    "can could may might must shall should will would do does did am is are was were have has had"
)
NEGATIONS = words(
    "not no never none nobody nothing neither nor nowhere without cannot unable hardly barely "
    "scarcely except unless ain't aint fail fails failed refuse refuses refused deny denies "
    "denied lack lacks stop stops stopped avoid prevent"
)
PERSONS = words(
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his "
    "himself she her hers herself it its itself they them their theirs themselves one someone "
    "somebody anyone anybody everyone everybody wife husband son daughter mother father mom mum "
    "dad brother sister friend partner child children kid kids parent parents boss landlord "
    "tenant"
)
SUBJECTS = words("i you he she it we they one someone anyone there")
PREPOSITIONS = words(
    "about above across after against along among around at before behind below beneath beside "
    "between beyond by down during for from in inside into near of off on onto out outside over "
    "past per since through throughout till to toward towards under until up upon via with within "
    "without instead versus vs than as if because although though while"
)
COMPARATIVES = words(
    "more most less least fewer fewest better best worse worst higher highest lower lowest bigger "
    "biggest smaller smallest larger largest longer longest shorter shortest cheaper cheapest "
    "faster fastest slower slowest earlier earliest later latest older oldest newer newest "
    "greater greatest max min maximum minimum maximal minimal upper lower top bottom first last "
    "next previous same different other another"
)
QUANTIFIERS = words(
    "all any both each either every few half lot lots many much several some enough only just "
    "once twice thrice again double single multiple zero two three four five six seven eight nine "
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty "
    "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen second "
    "third fourth fifth sixth seventh eighth ninth tenth always often sometimes usually ever"
)
TIMES = words(
    "today tonight tomorrow yesterday now currently recently already still yet soon later before "
    "after early late morning afternoon evening night noon midnight day days week weeks month "
    "months year years hour hours minute minutes daily weekly monthly quarterly yearly annual "
    "annually hourly january february march april may june july august september october november "
    "december monday tuesday wednesday thursday friday saturday sunday weekend weekday monday's "
    "spring summer autumn winter christmas easter"
)
CURRENCIES = words(
    "usd eur gbp chf jpy inr aud cad nzd cny dollar dollars euro euros pound pounds sterling yen "
    "franc francs rupee rupees peso pesos krona kronor krone kroner ruble rubles yuan lira real "
    "rand cent cents pence penny"
)
PLACES = words(
    "africa america american asia asian australia australian austria austrian belgium belgian "
    "brazil brazilian britain british canada canadian chile china chinese colombia croatia cuba "
    "czech denmark danish dutch egypt england english estonia europe european finland finnish "
    "france french georgia german germany ghana greece greek hungary iceland india indian "
    "indonesia iran iraq ireland irish israel italian italy japan japanese jordan kenya korea "
    "korean latvia lithuania london luxembourg malta mexico mexican morocco netherlands niger "
    "nigeria norway norwegian pakistan paris peru poland polish portugal portuguese romania "
    "russia russian scotland serbia singapore slovakia slovenia somalia spain spanish sudan "
    "sweden swedish swiss switzerland syria taiwan thailand tunisia turkey turkish uganda ukraine "
    "vietnam wales yemen"
)
# Words that a slip must neither turn into nor come from: the whole answer hangs on them.
DECISIVE = (
    NEGATIONS | COMPARATIVES | QUANTIFIERS | TIMES | CURRENCIES | PLACES
    | words("from with into onto over under before after without within between until since")
)  # fmt: skip
# Pairs that one slip on either side can bring together.
_NEAR_OPPOSITES = """
    accept except, affect effect, buyer bayer, lender sender, send spend, send lend, spend lend,
    lend end, borrow burrow, close lose, lost cost, last lost, last least, loan load, loan lean,
    sell tell, sell seal, bill sell, import export, imported exported, inbound outbound,
    include exclude, included excluded, includes excludes, increase decrease, increased decreased,
    internal external, interior exterior, immigrate emigrate, employer employee, payer payee,
    lessor lessee, debit debt, credit debit, increment decrement, hire fire, gain pain, rise raise,
    lock block, locked blocked, inflow outflow, income outcome, input output, inside outside,
    upload unload, download upload, install uninstall, payment repayment, live leave, form from,
    ever never, word work, work worked, change charge, changed charged, changes charges,
    changing charging, sign resign, sent spent, give gave, send sent, lend lent, spend spent,
    pending sending, pending spending, sending spending, lending sending, lending spending,
    mortgagor mortgagee, attach detach, encrypt decrypt, encode decode, deposit deposits
"""
NEAR_OPPOSITES: dict[str, frozenset[str]] = {}
for _pair in _NEAR_OPPOSITES.split(","):
    _one, _other = _pair.split()
    NEAR_OPPOSITES[_one] = NEAR_OPPOSITES.get(_one, frozenset()) | {_other}
    NEAR_OPPOSITES[_other] = NEAR_OPPOSITES.get(_other, frozenset()) | {_one}

# What a difference in a class is called, in the order in which it is looked for.
CLASSES: tuple[tuple[str, frozenset[str]], ...] = (
    ("negation differs", NEGATIONS),
    ("currencies differ", CURRENCIES),
    ("question words differ", QUESTION),
    ("times differ", TIMES),
    ("quantities differ", QUANTIFIERS),
    ("comparisons differ", COMPARATIVES),
    ("modal or auxiliary verbs differ", MODALS),
    ("persons differ", PERSONS),
    ("names differ", PLACES),
    ("prepositions differ", PREPOSITIONS),
)
