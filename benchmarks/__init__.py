"""Measures what the package costs, beside its peers and two baselines: `make bench`.

`answers` says what is answered, `server` sends it, `contenders` are asked, `scenarios` say how and
what is measured, `measure` does so in one fresh process, `run` lets the contenders take turns,
`bars` judges, and `report` writes `docs/benchmarks.md`. `instructions` is the guard that counts
instructions instead of time.
"""
