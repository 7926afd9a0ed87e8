"""Keys of encrypted stores: who wraps them, where they stand, how they are replaced; it knows no store."""
