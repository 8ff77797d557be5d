"""Every claim of the argument, and what the recordings say about it: the ledger of docs/claims.md.

`criterion` holds the claims and how a verdict follows from numbers, `evidence` what is read of each recording,
`ledger` puts them together, `render` writes them out.
"""
