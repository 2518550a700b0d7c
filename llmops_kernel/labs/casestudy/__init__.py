"""The case of the bank's bill: a day of traffic, five levers, and what each of them is worth.

`play` sends a seeded day through a real session with some levers pulled, against simulated models
at real prices; `shapley` shares out what all levers save together; `quality` says whether answers
are right. What is declared rather than measured is said where it is declared.
"""
