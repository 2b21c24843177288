"""``aion plugins``: which plugins there are, what they offer and what is chosen of it."""
