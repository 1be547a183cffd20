"""Mining: what the outcome topics say becomes clusters with names, rates and bursts. docs/risks.md says how."""
