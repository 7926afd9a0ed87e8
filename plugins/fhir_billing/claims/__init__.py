"""Claims: from `Claim/$submit` to the ClaimResponse and the ExplanationOfBenefit, with their entries in the ledger."""
