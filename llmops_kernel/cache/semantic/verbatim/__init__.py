"""The near-verbatim tier: a question asked again with other manners, not another question.

`signature` reduces a text to what counts and gives the keys to look its repeats up by;
`NearVerbatim` decides about two texts and says why. English only: anything else must agree letter
for letter.
"""

from llmops_kernel.cache.semantic.verbatim.rule import Decision, NearVerbatim
from llmops_kernel.cache.semantic.verbatim.signature import RULE, Signature, normalized, signature

__all__ = ["RULE", "Decision", "NearVerbatim", "Signature", "normalized", "signature"]
