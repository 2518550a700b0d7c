"""What is answered from cache."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from llmops_kernel.settings.base import Frozen


class CacheSettings(Frozen):
    """What is answered from cache, and where the answers are kept.

    Attributes:
        mode: ``exact`` serves a repeated request the recorded answer of the first; ``off`` does
            not.
        near: After an exact miss, also serve a deterministic request the answer to the same
            question in other manners: greetings, case, punctuation and slips of the keys may
            differ; numbers, names, negation and every other word must agree.
        simulated: Serve offline and simulated models from the cache too. Off, because exercises
            count on every simulated call being made and charged.
        sampled: Serve requests whose answer is drawn at random (a temperature other than 0, or
            none given, and no seed) too: repeats then get the first draw.
        url: Where the answers are: empty for the record, or ``redis://HOST:PORT/DATABASE``.
        ttl_s: Seconds an answer may be served; a call can ask for less, never for more.
        max_entries: Answers kept; beyond it the ones not used for longest go.
        max_bytes: Bytes all answers may have together.
        max_entry_bytes: Bytes beyond which one answer is not kept.
        wait_s: Seconds to wait for an identical request that is on its way, before going alone.
        salt: Part of every key: change it when a policy changes, and no older answer is served.
        secret_env: Name of the variable with the team's secret, which seals the answers. Who has
            another secret sees other answers; empty keeps a secret of its own beside the record.
        semantic: ``margin`` also serves re-wordings, from the day on that enough judged evidence
            of their own partition keeps its errors per hit to ``target``; ``off`` does not.
        target: Bound on errors per hit (upper end of the 95 % interval) of the tiers that serve
            one text's answer for another; a tier that breaks it switches itself off.
        min_judged: Judged lookups a partition needs before it may serve re-wordings.
        min_wordings: Wordings an answer needs before it is served for another one.
        numpy_entries: Texts of a partition that are compared in this process, about 77 MB for
            50,000; beyond it a PostgreSQL record with the ``vector`` extension compares them.
        strict: Also ask the built-in verifier about questions that the near-verbatim tier turned
            down. It serves few more, and only where every word that decides is the same.
        audit_share: Share of those hits that are drawn to be judged.
        judge: Model that compares two answers; empty compares their texts only, at no cost.
        judge_usd: Dollars a day for judges and for the fresh answers of audits; 0 leaves drawn hits
            for people.
    """

    mode: Literal["off", "exact"] = "exact"
    near: bool = True
    semantic: Literal["off", "margin"] = "off"
    target: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_judged: Annotated[int, Field(gt=0)] = 1_000
    min_wordings: Annotated[int, Field(gt=1)] = 10
    numpy_entries: Annotated[int, Field(gt=0)] = 50_000
    strict: bool = False
    audit_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    judge: str = ""
    judge_usd: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    simulated: bool = False
    sampled: bool = False
    url: str = ""
    ttl_s: Annotated[float, Field(gt=0)] = 7 * 86_400.0
    max_entries: Annotated[int, Field(gt=0)] = 50_000
    max_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    max_entry_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024
    wait_s: Annotated[float, Field(gt=0)] = 120.0
    salt: str = ""
    secret_env: str = ""
