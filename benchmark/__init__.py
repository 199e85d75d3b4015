"""Programs that measure; the tests never import them."""
