"""Master keys: what wraps the keys of tenants, from a file, the environment, AWS KMS, Vault or a PKCS#11 token."""
