"""What a route declares, and what becomes of it: validation, the envelope, and the API document."""
