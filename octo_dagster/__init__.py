"""What syncing is: nouns, verbs, ledger, configuration. Knows no Dagster, but for `definitions`."""
