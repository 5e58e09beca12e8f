"""Side by side with what a user would write instead; each file prints one table."""
