"""How a plan becomes a destination's state: plan, guard, deliver, settle, verify, over a ledger."""
