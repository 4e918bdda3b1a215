"""The whole story on the example site: provision, write, `DB_READ_ONLY=1`, read, be refused, and back."""
