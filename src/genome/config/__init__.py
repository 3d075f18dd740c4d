"""What a user's config may say: checked in full, all at once, before any job starts."""
