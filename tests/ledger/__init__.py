"""The ledger: proof that no write lands after a receipt, with every acknowledged row accounted for."""
