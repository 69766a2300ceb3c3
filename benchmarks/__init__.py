"""tickwork beside APScheduler 3.11, in one run: `python -m benchmarks`, or `make benchmark`.

The machine is never alone and never twice the same, so each figure stands beside one that was
measured in the same minutes: the cases of a table take turns (A B C A B C ...), each in a fresh
process, and the table shows medians with their spread, and ratios. Only the ratios travel.

`due`, `add`, `lateness`, `tick`, `triggers`, `memory`, `imports`, `idle`, `sessions` and others hold the cases, one
question each; `tables` says what a case is, `rounds` runs them, `child` is the process of one case.
"""
