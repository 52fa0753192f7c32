"""Any REST or GraphQL API, told in YAML: where its records are, how they page, what is new."""
