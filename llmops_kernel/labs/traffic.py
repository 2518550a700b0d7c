"""A day of the bank's traffic: who asks what and when, drawn from the labelled questions.

The mix has what makes caching, routing and budgets worth their while, and what makes them
dangerous: popular questions, customers who ask again, the same matter in other words, questions
that differ in one word and in their answer, tenants behind walls, questions without an answer, and
attacks. What each request is labelled for stays with it, so that every later step can be scored.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from random import Random
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs import bank
from llmops_kernel.labs.curves import Popular, arrivals
from llmops_kernel.labs.retyping import retyped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.labs.bank import Question

_RECENT = 0.05  # of the day's requests: how far back repeats reach on average
_MEMBERS = 0.04  # of the customers belong to tenants
_REPEATS = ("again", "repeat")


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the requests, and the shape of what is popular.

    The shares together are at most 1; what is left are plain and indirect questions. A day holds
    them exactly, up to rounding. By default every fifth request repeats an earlier one word for
    word, and every fifth is one of several wordings of one matter.

    A question that is drawn again without being a repeat is typed by another person: with other
    case, punctuation or greeting, or a slip. So `again` and `repeat` alone make texts that are
    equal, and the larger a day, the more of its questions have been asked before in some form.

    Attributes:
        again: A customer sends a text of their own again.
        repeat: A text that another customer (of the same tenant) sent before, word for word.
        paraphrase: One wording of a paraphrase group.
        near_miss: One of a pair that sounds alike and has another answer.
        tenant: A business customer's question about their own agreement, or another's.
        unanswerable: A question the documents do not answer.
        injection: A question with an instruction to break the rules.
        indirect: Share of what is left that is worded indirectly.
        popularity: Exponent of Zipf's law: the n-th most popular question or group is drawn with a
            weight of 1 / n ** popularity. 0 draws all alike.
        customers: Customers for each request: 0.4 means two in five requests come from a new face.
    """

    again: float = 0.08
    repeat: float = 0.12
    paraphrase: float = 0.20
    near_miss: float = 0.06
    tenant: float = 0.06
    unanswerable: float = 0.06
    injection: float = 0.02
    indirect: float = 0.30
    popularity: float = 0.9
    customers: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what cannot be (raises `UsageProblem`)."""
        for field in fields(self):
            value = getattr(self, field.name)
            most = math.inf if field.name == "popularity" else 1.0
            if not 0 <= value <= most or not math.isfinite(value):
                raise UsageProblem(f"The rate {field.name!r} is out of bounds", detail=f"{value}")
        if sum(self.shares.values()) > 1 + 1e-9:
            raise UsageProblem(
                "The rates are more than all requests",
                detail=f"{sum(self.shares.values()):.3f}",
                hint=f"{', '.join(self.shares)} together are at most 1",
            )

    @property
    def shares(self) -> dict[str, float]:
        """The shares that add up, by name."""
        return {name: getattr(self, name) for name in _DRAWN}


_DRAWN = ("again", "repeat", "paraphrase", "near_miss", "tenant", "unanswerable", "injection")
DEFAULT_RATES = Rates()


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the day.

    Attributes:
        time: Seconds after midnight, UTC.
        user: Who asks, like "M-2041"; the same customer has the same number all day.
        tenant: Their company; "" for private customers.
        question_id: The labelled question.
        text: What is asked.
        kind: The question's kind.
        group: The question's group; "" without one.
        drawn_as: Why it was drawn: a name of `Rates.shares`, or "plain".
    """

    time: float
    user: str
    tenant: str
    question_id: str
    text: str
    kind: str
    group: str
    drawn_as: str


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One line of a day's summary.

    Attributes:
        what: What was counted.
        requests: How many requests.
        share: Of all requests (0..1).
        declared: The share that the rates declare; None where they declare none.
    """

    what: str
    requests: int
    share: float
    declared: float | None = None


def draw_day(
    size: int = 1_000,
    *,
    seed: int = 7,
    rates: Rates = DEFAULT_RATES,
    questions: Sequence[Question] | None = None,
) -> list[Request]:
    """Draw a day of traffic, in the order of time.

    Args:
        size: Requests, exactly.
        seed: The same seed, size, rates and questions give the same day.
        rates: What the day is made of.
        questions: What is drawn from (default: the bank's).

    Raises:
        UsageProblem: The size is below 1, or there is no question of a kind that the rates ask for.
    """
    if size < 1:
        raise UsageProblem("A day has at least one request", detail=f"got {size}")
    pool = bank.questions() if questions is None else sorted(questions, key=lambda each: each.id)
    random = Random(f"day:{seed}:{size}")  # noqa: S311 - no secret
    times = arrivals(size, random)
    day = _Day(size, random, rates, pool)
    return [day.request(*each) for each in zip(times, day.kinds(), strict=True)]


def summarize(requests: Sequence[Request], rates: Rates = DEFAULT_RATES) -> list[SummaryRow]:
    """Return what a day holds, beside what its rates declare."""
    total = len(requests)
    shares = rates.shares
    plain = 1 - sum(shares.values())
    drawn = Counter(each.drawn_as for each in requests)
    rows = [
        _row(f"drawn as {name}", drawn[name], total, {**shares, "plain": plain}[name])
        for name in (*shares, "plain")
    ]
    kinds = Counter(each.kind for each in requests)
    rows += [_row(f"kind {kind}", kinds[kind], total) for kind in bank.KINDS]
    texts: set[tuple[str, str]] = set()
    matters: set[tuple[str, str]] = set()
    exact = retyping = meaning = 0
    asked: set[str] = set()
    for each in requests:
        key = (each.tenant, each.text)
        alike = each.kind == "paraphrase"
        matter = (each.tenant, each.group if alike else each.question_id)
        if key in texts:
            exact += 1
        elif each.question_id in asked:
            retyping += 1
        elif matter in matters:
            meaning += 1
        texts.add(key)
        asked.add(each.question_id)
        matters.add(matter)
    rows += [
        _row("asked before, word for word", exact, total, rates.again + rates.repeat),
        _row("asked before, typed anew", retyping, total),
        _row("asked before, in other words", meaning, total),
        _row("from tenants", sum(bool(each.tenant) for each in requests), total),
        _row("different texts", len(texts), total),
        _row("customers", len({each.user for each in requests}), total),
    ]
    return rows


def summary_table(requests: Sequence[Request], rates: Rates = DEFAULT_RATES) -> str:
    """Return the summary as text."""
    from llmops_kernel.display.table import table

    rows = [
        [
            each.what,
            f"{each.requests:,}",
            f"{each.share:.1%}",
            None if each.declared is None else f"{each.declared:.1%}",
        ]
        for each in summarize(requests, rates)
    ]
    caption = f"A day of {len(requests):,} requests"
    return table(["what", "requests", "share", "declared"], rows, caption=caption)[1]


class _Day:
    def __init__(self, size: int, random: Random, rates: Rates, pool: Sequence[Question]) -> None:
        self._size = size
        self._random = random
        self._rates = rates
        self._sent: list[Request] = []
        self._texts: set[str] = set()
        self._by_user: dict[str, list[Request]] = {}
        private = [each for each in pool if not each.tenant]
        self._pools: dict[str, Popular[list[Question]]] = {
            "paraphrase": self._popular(_groups(private, "paraphrase")),
            "near_miss": self._popular(_groups(private, "near_miss")),
            "tenant": self._popular([[each] for each in pool if each.tenant]),
            "unanswerable": self._popular(_alone(private, "unanswerable")),
            "injection": self._popular(_alone(private, "injection")),
            "answerable": self._popular(_alone(private, "answerable")),
            "indirect": self._popular(_alone(private, "indirect")),
        }
        self._users = self._customers(pool)

    def kinds(self) -> list[str]:
        """Return what each request is drawn as: the shares exactly, in random order."""
        shares = self._rates.shares
        shares["plain"] = max(0.0, 1 - sum(shares.values()))
        exact = {name: share * self._size for name, share in shares.items()}
        counts = {name: int(value + 1e-9) for name, value in exact.items()}
        by_rest = sorted(exact, key=lambda name: counts[name] - exact[name])
        for name in by_rest[: self._size - sum(counts.values())]:
            counts[name] += 1
        kinds = [name for name, count in counts.items() for _ in range(count)]
        self._random.shuffle(kinds)
        # The first request has nothing to repeat.
        first = next((n for n, name in enumerate(kinds) if name not in _REPEATS), 0)
        kinds[0], kinds[first] = kinds[first], kinds[0]
        return kinds

    def request(self, time: float, drawn_as: str) -> Request:
        """Draw the next request."""
        earlier = self._earlier() if drawn_as == "repeat" else self._own(drawn_as)
        if earlier is not None:
            source, user = earlier
            made = replace(source, time=time, user=user, drawn_as=drawn_as)
        else:
            if drawn_as in _REPEATS:  # nothing to repeat, or nobody to repeat it
                drawn_as = "plain"
            question = self._question(drawn_as)
            text = question.question
            if text in self._texts:
                text = retyped(text, self._random, self._texts.__contains__)
            made = Request(
                time=time,
                user=self._users[question.tenant].draw(self._random),
                tenant=question.tenant,
                question_id=question.id,
                text=text,
                kind=question.kind,
                group=question.group,
                drawn_as=drawn_as,
            )
        self._sent.append(made)
        self._texts.add(made.text)
        self._by_user.setdefault(made.user, []).append(made)
        return made

    def _question(self, drawn_as: str) -> Question:
        name = drawn_as
        if drawn_as == "plain":
            indirect = self._random.random() < self._rates.indirect
            name = "indirect" if indirect else "answerable"
        pool = self._pools[name]
        if not pool:
            raise UsageProblem(f"There is no question to draw as {name}")
        return self._random.choice(pool.draw(self._random))

    def _lately(self) -> Request:
        """Return an earlier request; most repeats are of what was asked not long ago."""
        back = int(self._random.expovariate(1 / max(1.0, _RECENT * self._size)))
        return self._sent[-1 - min(back, len(self._sent) - 1)]

    def _own(self, drawn_as: str) -> tuple[Request, str] | None:
        """Return a request that its customer sends again."""
        if drawn_as != "again" or not self._sent:
            return None
        user = self._lately().user
        return self._random.choice(self._by_user[user]), user

    def _earlier(self) -> tuple[Request, str] | None:
        """Return a request that another customer repeats, and who."""
        if not self._sent:
            return None
        source = self._lately()
        for _ in range(20):
            user = self._users[source.tenant].draw(self._random)
            if user != source.user:
                return source, user
        return None

    def _customers(self, pool: Sequence[Question]) -> dict[str, Popular[str]]:
        """Return the customers by tenant, "" for private ones; a few of each ask more often."""
        count = max(2, round(self._rates.customers * self._size))
        tenants = sorted({each.tenant for each in pool if each.tenant})
        members = max(3, round(_MEMBERS * count / max(1, len(tenants))))
        needed = count + members * len(tenants)
        numbers = self._random.sample(range(1_000, 10_000 + 2 * needed), needed)
        names = iter(f"M-{number}" for number in numbers)
        found = {}
        for tenant, many in [("", count), *((tenant, members) for tenant in tenants)]:
            own = [next(names) for _ in range(many)]
            found[tenant] = Popular(own, 0.5, self._random)
        return found

    def _popular(self, items: Sequence[list[Question]]) -> Popular[list[Question]]:
        return Popular(items, self._rates.popularity, self._random)


def _alone(pool: Sequence[Question], kind: str) -> list[list[Question]]:
    return [[each] for each in pool if each.kind == kind]


def _groups(pool: Sequence[Question], kind: str) -> list[list[Question]]:
    groups: dict[str, list[Question]] = {}
    for each in pool:
        if each.kind == kind:
            groups.setdefault(each.group, []).append(each)
    return list(groups.values())


def _row(what: str, count: int, total: int, declared: float | None = None) -> SummaryRow:
    return SummaryRow(what, count, count / total if total else 0.0, declared)
