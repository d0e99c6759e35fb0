"""What loaders of all engines share: the account's files and its bookkeeping; no tensor framework here."""
